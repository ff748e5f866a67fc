"""Compute in this process: DuckDB over the Parquet files that a table's log names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ml_platform.engine.plan import literal, quoted
from ml_platform.errors import BindingError, ServiceError
from ml_platform.records.table import Location, StagedFiles

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from ml_platform.roles.compute import Compute

_BATCH_ROWS = 122_880


class EmbeddedCompute:
    """One DuckDB connection for each query, streaming its rows out.

    memory_limit_gib: GiB that a query may hold before it spills to disk; the process holds some hundred MiB beside it.
    threads: how many it uses; 0 for all cores.
    cache: folder of copies of the files that it reads from an object store; needed only where tables live in one.
    cache_limit_gib: GiB of copies that stay there between queries.
    """

    def __init__(
        self, memory_limit_gib: float = 1, threads: int = 0, cache: str = "", cache_limit_gib: float = 10
    ) -> None:
        self._cache = cache
        self._cache_limit_gib = cache_limit_gib
        # DuckDB would fetch a missing extension from the network by itself.
        self._settings = {"memory_limit": f"{memory_limit_gib}GiB", "autoinstall_known_extensions": "false"}
        if threads:
            self._settings["threads"] = str(threads)

    def stage(
        self, query: str, inputs: Mapping[str, StagedFiles], target: Location, partition_by: tuple[str, ...]
    ) -> StagedFiles:
        """As the role promises."""
        from ml_platform.engine.staging import stage

        with _translated(target.key), self._over(inputs) as connection:
            reader = connection.sql(query).to_arrow_reader(_BATCH_ROWS)
            return stage(_streamed(reader, target.key), reader.schema, target, partition_by)

    def fetch(self, query: str, inputs: Mapping[str, StagedFiles]) -> pa.Table:
        """As the role promises."""
        with _translated(", ".join(inputs)), self._over(inputs) as connection:
            return connection.sql(query).to_arrow_table()

    @contextmanager
    def _over(self, inputs: Mapping[str, StagedFiles]) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        with ExitStack() as open_, TemporaryDirectory() as spill:
            folders = {name: self._folder(files, open_) for name, files in inputs.items()}
            connection = open_.enter_context(duckdb.connect(config={**self._settings, "temp_directory": spill}))
            connection.execute("SET TimeZone = 'UTC'")
            for name, files in inputs.items():
                _expose(connection, name, files, folders[name])
            yield connection

    def _folder(self, of: StagedFiles, query: ExitStack) -> str:
        """The local folder that has the files until the query ends: DuckDB's way to object stores is a download."""
        if "://" not in of.location.uri or not of.files:
            return of.location.uri
        if not self._cache:
            raise BindingError(
                f"compute.cache is unbound, but the table {of.location.key} lives in an object store",
                remedy="Set ML_PLATFORM_COMPUTE__CACHE, or compute.cache in the profile, to a folder for copies",
            )
        from ml_platform.engine.file_cache import FileCache

        cache = FileCache(self._cache, self._cache_limit_gib)
        query.enter_context(cache.reading())
        return str(cache.local(of.location, of.files))


def _expose(connection: duckdb.DuckDBPyConnection, name: str, of: StagedFiles, folder: str) -> None:
    """The folder's files as a view of that name (`schema.table`), with the columns of their schema."""
    schema, _, table = name.rpartition(".")
    relation = ".".join(quoted(part) for part in (schema, table) if part)
    if schema:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    if of.files:
        connection.execute(f"CREATE VIEW {relation} AS {_select(connection, of, folder)}")
        return
    connection.register("_empty", of.schema.empty_table())
    connection.execute(f"CREATE TABLE {relation} AS SELECT * FROM _empty")
    connection.unregister("_empty")


def _select(connection: duckdb.DuckDBPyConnection, of: StagedFiles, folder: str) -> str:
    """The query that reads the files; partition columns come from the folders' names."""
    paths = ", ".join(literal(f"{folder}/{file.path}") for file in of.files)
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in of.partition_by)
    hive = f", hive_partitioning = true, hive_types = {{{types}}}" if of.partition_by else ""
    rows = f"read_parquet([{paths}], union_by_name = true{hive})"
    inside = set(connection.sql(f"SELECT * FROM {rows}").columns)
    empty = connection.from_arrow(of.schema.empty_table())
    columns = [
        # A column may have come to the table after the last of these files was written.
        quoted(column) if column in inside else f"CAST(NULL AS {kind}) AS {quoted(column)}"
        for column, kind in zip(empty.columns, empty.types, strict=True)
    ]
    return f"SELECT {', '.join(columns)} FROM {rows}"


def _streamed(reader: pa.RecordBatchReader, subject: str) -> Iterator[pa.RecordBatch]:
    """The reader's batches; what DuckDB finds wrong with a row half way comes out of it as an OSError."""
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except OSError as error:
            raise _failed(subject, error) from error
        yield batch


@contextmanager
def _translated(subject: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _failed(subject, error) from error


def _failed(subject: str, error: Exception) -> ServiceError:
    return ServiceError(f"the query of {subject} does not run, but it has to be made from it: {error}")


if TYPE_CHECKING:
    _: type[Compute] = EmbeddedCompute
