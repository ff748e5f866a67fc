"""Delta tables: reading a pinned version's files, and committing staged files in one transaction.

A commit adds and removes whole files. It is invisible before it stands, refused when somebody else changed what it
replaces, and carries application transactions: numbers that the table keeps under a name, written in the same commit as
the data, that survive checkpoints and log clean-up. Commit metadata is only evidence; nothing is decided by it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_platform.engine.files import filesystem
from ml_platform.errors import AuditError, ConflictError, NotFoundError, ServiceError
from ml_platform.records.table import Commit, DataFile, Location, StagedFiles, TableSnapshot

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

_UNREADABLE_FEATURES = {"deletionVectors", "columnMapping"}


def snapshot(location: Location, version: int | None = None) -> TableSnapshot | None:
    """The files of one version, the latest by default; None where the table does not exist.

    Raises ServiceError for a table whose protocol hides rows from whoever reads its files (deletion vectors, column
    mapping), or whose log cannot be read; NotFoundError for a version that is not there.
    """
    table = _open(location, version)
    return None if table is None else _snapshot(location, table)


def existing(location: Location) -> TableSnapshot:
    """The latest version's files. Raises NotFoundError where the table does not exist."""
    found = snapshot(location)
    if found is None:
        raise NotFoundError(
            f"the table {location.key} is not there, but something reads it",
            remedy=f"Materialize {location.key} first",
        )
    return found


def restrict(of: TableSnapshot, column: str, values: Collection[str]) -> TableSnapshot:
    """The snapshot with only the files of these partitions; unchanged where the table is not partitioned by it."""
    if column not in of.partition_by:
        return of
    kept = tuple(file for file in of.files if file.partition[column] in values)
    return TableSnapshot(of.location, of.schema, of.partition_by, kept, of.version)


def fingerprint(of: StagedFiles) -> str:
    """A digest of the rows, by the content-addressed names of the files that hold them."""
    return hashlib.sha256("\n".join(sorted(file.path for file in of.files)).encode()).hexdigest()[:32]


def read_rows(of: StagedFiles, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of the files in memory, partition columns included, in the order of the files' names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = of.schema if columns is None else pa.schema([of.schema.field(name) for name in columns])
    files = filesystem(of.location)
    tables = []
    for file in of.files:
        inside = [name for name in schema.names if name not in file.partition]
        table = pq.read_table(file.path, columns=inside, filesystem=files, partitioning=None)
        for name in [name for name in schema.names if name not in table.column_names]:
            values = pa.array([file.partition.get(name)] * table.num_rows, schema.field(name).type)
            table = table.append_column(schema.field(name), values)
        tables.append(table.select(schema.names).cast(schema))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def transaction(location: Location, app_id: str) -> int | None:
    """The number that the table keeps under the name; None where the table or the name is not there."""
    table = _open(location, None)
    return None if table is None else table.transaction_version(app_id)


def transactions(location: Location, app_ids: Collection[str]) -> dict[str, int | None]:
    """The numbers that the table keeps under these names, read from one version."""
    table = _open(location, None)
    return {app_id: None if table is None else table.transaction_version(app_id) for app_id in app_ids}


def commit(
    staged: StagedFiles,
    *,
    read: TableSnapshot | None,
    replaced: Collection[DataFile],
    transactions: Mapping[str, int],
    evidence: Mapping[str, Any],
) -> Commit:
    """The table holding the staged files instead of the replaced ones, in one transaction.

    read: the version that the replaced files were taken from; None where the table did not exist.
    replaced: files of `read`; empty for an append.
    transactions: name → number, recorded with the data.
    evidence: kept in the commit's metadata, for people.
    Where nothing comes, nothing goes and every transaction stands already, no commit is made.
    Raises ConflictError where somebody committed in between, AuditError where the schemas do not go together.
    """
    table = _table_for(staged, read)
    live = {file.path for file in replaced}
    coming = [file for file in staged.files if file.path not in live]
    staying = {file.path for file in staged.files}
    going = [file for file in replaced if file.path not in staying]
    recorded = all(table.transaction_version(app_id) == number for app_id, number in transactions.items())
    if not coming and not going and recorded:
        return Commit(table.version(), 0, 0, (), unchanged=True)
    everything = read is not None and len(live) == len(read.files)
    rewrite = _evolve(table, staged, everything=everything and not staying & live)
    actions = [_add(file) for file in coming]
    if not rewrite:
        actions += [_remove(file) for file in going]
    _write(table, staged, actions, "overwrite" if rewrite else "append", transactions, evidence)
    touched = sorted({value for file in (*coming, *going) for value in file.partition.values()})
    rows_added, rows_removed = (sum(file.rows for file in files) for files in (coming, going))
    return Commit(table.version(), rows_added, rows_removed, tuple(touched), unchanged=not coming and not going)


def _open(location: Location, version: int | None) -> DeltaTable | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = DeltaTable(location.uri, version=version, storage_options=dict(location.storage_options))
    except TableNotFoundError:
        return None
    except DeltaError as error:
        if version is not None and "version" in str(error).lower():
            raise NotFoundError(f"the table {location.key} has no version {version}") from error
        raise ServiceError(
            f"the log of the table {location.key} cannot be read, but every read goes through it: {error}",
            remedy="Restore the table's _delta_log; its data files are untouched",
        ) from error
    hidden = _UNREADABLE_FEATURES & set(table.protocol().reader_features or ())
    if hidden:
        raise ServiceError(
            f"the table {location.key} uses {', '.join(sorted(hidden))}, but reading its files would misread it",
            remedy="Rewrite it without these features",
        )
    return table


def _snapshot(location: Location, table: DeltaTable) -> TableSnapshot:
    import pyarrow as pa

    partition_by = tuple(table.metadata().partition_columns)
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    files = tuple(
        DataFile(
            path=row["path"],
            size_bytes=row["size_bytes"],
            rows=row["num_records"] or 0,
            partition={column: str(row[f"partition.{column}"]) for column in partition_by},
        )
        for row in sorted(actions, key=lambda row: str(row["path"]))
    )
    return TableSnapshot(location, pa.schema(table.schema().to_arrow()), partition_by, files, table.version())


def _table_for(staged: StagedFiles, read: TableSnapshot | None) -> DeltaTable:
    """The table as it was read, so that a commit is checked against everything since; an empty one where none was."""
    from deltalake import DeltaTable, Schema

    location = staged.location
    options = dict(location.storage_options)
    if read is not None:
        return DeltaTable(location.uri, version=read.version, storage_options=options)
    table = DeltaTable.create(
        location.uri,
        Schema.from_arrow(staged.schema),
        mode="ignore",
        partition_by=list(staged.partition_by),
        storage_options=options,
    )
    if table.version() > 0:
        raise _conflict(staged, None)
    return table


def _evolve(table: DeltaTable, staged: StagedFiles, *, everything: bool) -> bool:
    """Whether the commit has to rewrite the schema; columns that are merely new are added to the table here."""
    import pyarrow as pa
    from deltalake import Schema

    standing = pa.schema(table.schema().to_arrow())
    stands = {field.name: field.type for field in standing}
    comes = {field.name: field.type for field in staged.schema}
    if stands == comes:
        return False
    if everything:
        return True
    moved = [name for name, kind in stands.items() if comes.get(name) != kind]
    if moved:
        raise AuditError(
            f"{staged.location.key} changes its columns {', '.join(moved)}, but other partitions keep the old ones",
            allowed="New columns may come with any partition; changed and dropped ones need all partitions at once",
            remedy="Materialize the whole partition range in one run",
        )
    added = pa.schema([field for field in staged.schema if field.name not in stands])
    table.alter.add_columns(list(Schema.from_arrow(added).fields))
    return False


def _add(file: DataFile) -> Any:
    from deltalake.transaction import AddAction

    return AddAction(file.path, file.size_bytes, dict(file.partition), _milliseconds(), True, file.statistics)


def _remove(file: DataFile) -> Any:
    from deltalake._internal import RemoveAction

    return RemoveAction(file.path, True, _milliseconds(), file.size_bytes, dict(file.partition))


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _write(
    table: DeltaTable,
    staged: StagedFiles,
    actions: list[Any],
    mode: str,
    transactions: Mapping[str, int],
    evidence: Mapping[str, Any],
) -> None:
    from deltalake import CommitProperties, Transaction
    from deltalake.exceptions import CommitFailedError

    properties = CommitProperties(
        custom_metadata={name: json.dumps(value, default=str) for name, value in evidence.items()},
        app_transactions=[Transaction(app_id, number) for app_id, number in transactions.items()],
    )
    try:
        table.create_write_transaction(
            actions, mode, staged.schema, list(staged.partition_by) or None, commit_properties=properties
        )
    except CommitFailedError as error:
        raise _conflict(staged, table.version()) from error
    table.update_incremental()


def _conflict(staged: StagedFiles, version: int | None) -> ConflictError:
    since = "while it was being made" if version is None else f"since version {version}"
    return ConflictError(
        f"{staged.location.key} was committed to by somebody else {since}, but this commit builds on what stood then",
        remedy="Run it again; nothing was written",
    )
