"""Delta tables: reading a pinned version's files, and committing staged files in one transaction.

A commit adds and removes whole files. It is invisible before it stands, refused when somebody committed in between,
and carries application transactions: numbers that the table keeps under a name, written in the same commit as the data,
that survive checkpoints and log clean-up. Commit metadata is only evidence; nothing is decided by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_platform.engine import delta_log, intent
from ml_platform.engine.actions import Change
from ml_platform.engine.file_name import total
from ml_platform.engine.file_statistics import rows_in
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.numbers import Numbers
from ml_platform.errors import AuditError, NotFoundError, ServiceError
from ml_platform.records.table import Commit, DataFile, Location, StagedFiles, TableSnapshot

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem


def snapshot(location: Location, version: int | None = None) -> TableSnapshot | None:
    """The files of one version, the latest by default; None where the table does not exist.

    Raises ServiceError for a table whose protocol hides rows from whoever reads its files (deletion vectors, column
    mapping), or whose log cannot be read; NotFoundError for a version that is not there.
    """
    table = delta_log.opened(location, version)
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


def pinned(location: Location, version: int) -> dict[str, Any]:
    """One version as a job takes it, with how to reach its store; credentials come from the job's environment."""
    options = {"storage_options": dict(location.storage_options)} if location.storage_options else {}
    return {"uri": location.uri, "version": version, **options}


def copied(of: TableSnapshot, location: Location) -> int:
    """The version of a new table at a location, which has the rows of the snapshot in the same files."""
    source, target = filesystem(of.location), filesystem(location)
    for file in of.files:
        if "/" in file.path:
            target.create_dir(file.path.rpartition("/")[0], recursive=True)
        with source.open_input_stream(file.path) as stream:
            put(target, file.path, stream.read())
    same = StagedFiles(location, of.schema, of.partition_by, of.files)
    return delta_log.create(same, Change(of.files, (), {}, {}))


def fingerprint(of: StagedFiles) -> str:
    """A digest of the rows, by the content-addressed names of the files that hold them.

    Files that took the place of others without a change of rows, as in maintenance, leave it as it was.
    """
    return hashlib.sha256(f"{total(file.path for file in of.files):064x}".encode()).hexdigest()[:32]


def read_rows(of: StagedFiles, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of the files in memory, partition columns included, in the order of the files.

    A column that came to the table after a file was written is NULL in that file's rows.
    """
    import pyarrow as pa

    schema = of.schema if columns is None else pa.schema([of.schema.field(name) for name in columns])
    files = filesystem(of.location)
    tables = [_rows(files, file, schema) for file in of.files]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def transaction(location: Location, app_id: str, version: int | None = None) -> int | None:
    """The number that the table keeps under the name; None where the table or the name is not there."""
    return transactions(location, [app_id], version)[app_id]


def transactions(location: Location, app_ids: Collection[str], version: int | None = None) -> dict[str, int | None]:
    """The numbers that the table keeps under these names, read from one version, the latest by default.

    A name that a restore took back, for the version did not have it, is not there.
    """
    table = delta_log.opened(location, version)
    if table is None:
        return dict.fromkeys(app_ids)
    kept = Numbers(location, table.version())
    return {app_id: kept.get(app_id) for app_id in app_ids}


def commit(
    staged: StagedFiles,
    *,
    read: TableSnapshot | None,
    replaced: Collection[DataFile],
    transactions: Mapping[str, int],
    evidence: Mapping[str, Any],
    data_change: bool = True,
) -> Commit:
    """The table holding the staged files instead of the replaced ones, in one transaction.

    read: the version that the replaced files were taken from; None where the table did not exist.
    replaced: files of `read`; empty for an append.
    transactions: name → number, recorded with the data.
    evidence: kept in the commit's metadata, for people.
    data_change: False where the files hold the rows of those that they replace.
    Where nothing comes, nothing goes and every transaction stands already, no commit is made. Columns that are merely
    new are added in a commit of their own before it.
    Raises ConflictError where anybody committed since `read`, AuditError where the schemas do not go together.
    """
    paths = {file.path for file in replaced}
    staying = {file.path for file in staged.files}
    coming = [file for file in staged.files if file.path not in paths]
    going = [file for file in replaced if file.path not in staying]
    change = Change(coming, going, transactions, evidence, data_change)
    if read is None:
        intent.about_to("create", "it is not there")
    version = delta_log.create(staged, change) if read is None else _committed(staged, read, change)
    if staged.location.access and not intent.planned():
        staged.location.access.committed(staged.schema)
    if read is not None and version == read.version:
        return Commit(version, 0, 0, (), unchanged=True)
    touched = sorted({value for file in (*coming, *going) for value in file.partition.values()})
    rows_added, rows_removed = (sum(file.rows for file in files) for files in (coming, going))
    return Commit(version, rows_added, rows_removed, tuple(touched), unchanged=not coming and not going)


def _committed(staged: StagedFiles, read: TableSnapshot, change: Change) -> int:
    """The version in which the change stands: the one that was read, where it changes nothing."""
    table = delta_log.opened(staged.location, read.version)
    if table is None:
        raise NotFoundError(f"the table {staged.location.key} is gone, but version {read.version} was read from it")
    recorded = all(table.transaction_version(app_id) == number for app_id, number in change.transactions.items())
    if recorded and not change.coming and not change.going:
        return read.version
    intent.about_to("change", "its table is to be committed to")
    _require_partitions(staged, read)
    _require_new(staged, read, change)
    stands, comes = ({field.name: field.type for field in of.schema} for of in (read, staged))
    if stands != comes and len(change.going) == len(read.files):
        return delta_log.rewrite(staged, table, change)
    _require_columns(staged, stands, comes)
    if stands != comes:
        import pyarrow as pa

        added = pa.schema([field for field in staged.schema if field.name not in stands])
        table = delta_log.add_columns(staged.location, table, added)
    return delta_log.append(staged.location, table, change)


def _require_partitions(staged: StagedFiles, read: TableSnapshot) -> None:
    if staged.partition_by != read.partition_by:
        now, then = (", ".join(of.partition_by) or "nothing" for of in (staged, read))
        raise AuditError(
            f"{staged.location.key} is now partitioned by {now}, but its table is partitioned by {then}",
            remedy="Keep the partition column, or give the table a new name",
        )


def _require_new(staged: StagedFiles, read: TableSnapshot, change: Change) -> None:
    """A file is named by its content: appended a second time it would stand in the table once, its rows lost."""
    twice = {file.path for file in change.coming} & {file.path for file in read.files}
    if twice:
        raise AuditError(
            f"{staged.location.key} appends rows that stand in it already, to the last value, but they would be lost",
            remedy="Give the rows a column that tells one batch from another",
        )


def _require_columns(staged: StagedFiles, stands: Mapping[str, pa.DataType], comes: Mapping[str, pa.DataType]) -> None:
    moved = [name for name, kind in stands.items() if comes.get(name) != kind]
    if moved:
        raise AuditError(
            f"{staged.location.key} changes its columns {', '.join(moved)}, but rows that stay keep the old ones",
            allowed="New columns may come at any time; changed and dropped ones need every row rewritten at once",
            remedy="Materialize the whole partition range in one run, or keep the columns of an append-only table",
        )


def _snapshot(location: Location, table: DeltaTable) -> TableSnapshot:
    import pyarrow as pa

    partition_by = tuple(table.metadata().partition_columns)
    listed = ["path", "size_bytes", "num_records", *(f"partition.{column}" for column in partition_by)]
    actions = pa.table(table.get_add_actions(flatten=True)).select(listed).to_pylist()
    files = tuple(
        DataFile(
            path=delta_log.spelled(row["path"]),
            size_bytes=row["size_bytes"],
            rows=rows_in(location, delta_log.spelled(row["path"]))
            if row["num_records"] is None
            else row["num_records"],
            partition={column: str(row[f"partition.{column}"]) for column in partition_by},
        )
        for row in actions
    )
    for file in files:
        if file.path.startswith("/") or "://" in file.path or ".." in file.path.split("/"):
            raise ServiceError(
                f"version {table.version()} of {location.key} names the file {file.path!r}, but that is not its own",
                remedy="Its log was tampered with, or is a shallow clone's: restore it, or copy the table whole",
            )
    # A log gives them in the order of its entries, which a checkpoint changes: rows are to come in one order for ever.
    ordered = tuple(sorted(files, key=lambda file: file.path))
    return TableSnapshot(location, pa.schema(table.schema().to_arrow()), partition_by, ordered, table.version())


def _rows(files: FileSystem, file: DataFile, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with files.open_input_file(file.path) as stream:
        parquet = pq.ParquetFile(stream)
        inside = [name for name in schema.names if name in parquet.schema_arrow.names]
        table = parquet.read(columns=inside)
        count = parquet.metadata.num_rows
    columns = [
        table[field.name] if field.name in inside else pa.array([file.partition.get(field.name)] * count, field.type)
        for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)
