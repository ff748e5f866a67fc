"""Compute in this process: DuckDB over the Parquet files that a table's log names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from ml_platform.engine.plan import literal, quoted
from ml_platform.errors import BindingError, ServiceError
from ml_platform.records.table import Location, StagedFiles, View

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from ml_platform.roles.compute import Compute

_BATCH_ROWS = 122_880
_VIEWS = 64


@dataclass(frozen=True)
class _Engine:
    """DuckDB, open. spill: the folder that it makes when its memory is full, and removes when it is closed."""

    connection: duckdb.DuckDBPyConnection
    spill: Path


class EmbeddedCompute:
    """DuckDB, a connection for each query that sees only its own inputs, streaming its rows out.

    memory_limit_gib: GiB that its queries may hold before they spill to disk; the process holds some hundred MiB more.
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
        self._settings = {
            "memory_limit": f"{memory_limit_gib}GiB",
            "autoinstall_known_extensions": "false",
            "parquet_metadata_cache": "true",
        }
        if threads:
            self._settings["threads"] = str(threads)
        self._views: dict[object, str] = {}
        self._opening = Lock()
        self._engine: _Engine | None = None

    def stage(
        self, query: str, inputs: Mapping[str, StagedFiles | View], target: Location, partition_by: tuple[str, ...]
    ) -> StagedFiles:
        """As the role promises."""
        from ml_platform.engine.staging import stage

        with _translated(target.key), self._over(inputs) as connection:
            reader = connection.sql(query).to_arrow_reader(_BATCH_ROWS)
            return stage(_streamed(reader, target.key), reader.schema, target, partition_by)

    def fetch(self, query: str, inputs: Mapping[str, StagedFiles | View]) -> pa.Table:
        """As the role promises."""
        with _translated(", ".join(inputs)), self._over(inputs) as connection:
            return connection.sql(query).to_arrow_table()

    @contextmanager
    def _over(self, inputs: Mapping[str, StagedFiles | View]) -> Iterator[duckdb.DuckDBPyConnection]:
        views = {name: view for name, view in inputs.items() if isinstance(view, View)}
        given = {name: files for name, files in inputs.items() if isinstance(files, StagedFiles)}
        for view in views.values():
            given.update(view.inputs)
        with ExitStack() as open_:
            folders = {name: self._folder(files, open_) for name, files in given.items()}
            connection = open_.enter_context(self._connected())
            for name, files in given.items():
                self._expose(connection, name, files, folders[name])
            for name, view in views.items():
                connection.execute(f"CREATE VIEW {_relation(connection, name)} AS {view.query}")
            yield connection

    def _expose(self, connection: duckdb.DuckDBPyConnection, name: str, of: StagedFiles, folder: str) -> None:
        """The folder's files as a view of that name (`schema.table`), with the columns of their schema."""
        relation = _relation(connection, name)
        if not of.files:
            connection.register("_empty", of.schema.empty_table())
            connection.execute(f"CREATE TABLE {relation} AS SELECT * FROM _empty")
            connection.unregister("_empty")
            return
        # Files never change, and one table's are asked several things in a row.
        seen = (folder, of.schema, of.partition_by, tuple(file.path for file in of.files))
        if seen not in self._views:
            if len(self._views) >= _VIEWS:
                self._views.clear()
            self._views[seen] = _select(connection, of, folder)
        connection.execute(f"CREATE VIEW {relation} AS {self._views[seen]}")

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with a catalog of its own, to DuckDB as it is open: to open it takes longer than small queries.

        After an error, and after it spilled, it is opened anew, so that its memory and its files are given back.
        """
        (engine, connection), own, sound = self._opened(), quoted(uuid4().hex), False
        try:
            for statement in ("SET TimeZone = 'UTC'", f"ATTACH ':memory:' AS {own}", f"USE {own}"):
                connection.execute(statement)
            yield connection
            for statement in ("USE memory", f"DETACH {own}"):
                connection.execute(statement)
            sound = not engine.spill.exists()
        finally:
            connection.close()
            if not sound:
                self._leave(engine)

    def _opened(self) -> tuple[_Engine, duckdb.DuckDBPyConnection]:
        import duckdb

        with self._opening:
            if self._engine is None:
                spill = Path(gettempdir()) / f"ml_platform-{uuid4().hex}"
                settings = {**self._settings, "temp_directory": str(spill)}
                self._engine = _Engine(duckdb.connect(config=settings), spill)
            return self._engine, self._engine.connection.cursor()

    def _leave(self, engine: _Engine) -> None:
        """The next query opens another; this one is closed with the last query that runs in it."""
        with self._opening:
            if self._engine is engine:
                self._engine = None
            engine.connection.close()

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


def _relation(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """The name as an SQL identifier, in a schema that is there."""
    schema, _, table = name.rpartition(".")
    if schema:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    return ".".join(quoted(part) for part in (schema, table) if part)


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
