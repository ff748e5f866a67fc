"""The log of a Delta table: opened at a version, and written to in commits that stand directly on that version.

A commit never slips in behind somebody else's: conflict resolution is off, so that whatever was committed since the
version that was read refuses it, and a commit's number is known before it is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ml_platform.engine import seals
from ml_platform.engine.actions import Change, adding, hooks, properties, removing, sealed
from ml_platform.engine.files import filesystem
from ml_platform.engine.log_errors import first_line, table_at, unreached, unreadable
from ml_platform.engine.readable import require_readable
from ml_platform.errors import ConflictError, NotFoundError, PlatformError, ServiceError
from ml_platform.records.table import Location, StagedFiles

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, Schema

UNDONE = -1
"""The number of an application transaction that a restore took back: Delta has no other way to forget a name."""


def opened(location: Location, version: int | None = None) -> DeltaTable | None:
    """The table at a version, the latest by default; None where it does not exist.

    Raises NotFoundError for a version that is not there, ServiceError for a log that cannot be read and for a table
    whose protocol hides rows from whoever reads its files.
    """
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        table = table_at(location, version)
    except DeltaError as error:
        # A version before the log's first checkpoint is told as if there were no table.
        if version is not None and opened(location) is not None:
            raise NotFoundError(f"the table {location.key} has no version {version}") from error
        if isinstance(error, TableNotFoundError):
            return None
        raise unreadable(location, first_line(error)) from error
    except OSError as error:
        raise unreached(location, error) from error
    _require_commit(location, table)
    require_readable(table, location.key)
    return table


def _require_commit(location: Location, table: DeltaTable) -> None:
    """Returns where the version's commit says something: one that a crash left empty would be read as no change."""
    commit = filesystem(location).get_file_info(_commit(table.version()))
    if commit.size == 0:
        raise unreadable(location, f"the commit of version {table.version()} is empty")


def _commit(version: int) -> str:
    return f"_delta_log/{version:020}.json"


def spelled(path: str) -> str:
    """A data file's path as it is on the store: the log spells paths as URLs.

    >>> spelled("city=New%20York/a.parquet")
    'city=New York/a.parquet'
    """
    return unquote(path)


def create(staged: StagedFiles, change: Change) -> int:
    """The table's first version, 0, holding the files that come. Raises ConflictError where it exists already."""
    from deltalake import Schema
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import create_table_with_add_actions

    location, schema = staged.location, Schema.from_arrow(staged.schema)
    columns = seals.columns(schema.to_json(), staged.partition_by, {})
    try:
        create_table_with_add_actions(
            location.uri,
            schema,
            adding(change),
            partition_by=list(staged.partition_by),
            storage_options=location.options,
            commit_properties=properties(change, sealed(change, columns)),
            post_commithook_properties=hooks(),
        )
    except (DeltaError, OSError) as error:
        if opened(location) is not None:
            raise _conflict(location, None) from error
        raise _uncommitted(location, error) from error
    return 0


def add_columns(location: Location, table: DeltaTable, added: pa.Schema) -> DeltaTable:
    """The table in which the columns stand, NULL in every row that it has. Raises ConflictError for a stale table."""
    from deltalake import Schema

    comes, nothing = Schema.from_arrow(added), Change((), (), {}, {})
    columns = _columns(table, [*json.loads(table.schema().to_json())["fields"], *json.loads(comes.to_json())["fields"]])
    version, kept = table.version(), properties(nothing, sealed(nothing, columns))
    with _committing(location, version, "ADD COLUMN", kept):
        table.alter.add_columns(list(comes.fields), commit_properties=kept, post_commithook_properties=hooks())
    wider = opened(location, version + 1)
    if wider is None:
        raise NotFoundError(f"the table {location.key} is gone, but it was committed to a moment ago")
    return wider


def append(location: Location, table: DeltaTable, change: Change) -> int:
    """The version that stands on the opened one, with the files that come and without those that go."""
    return _write(location, table, "append", table.schema(), change)


def rewrite(staged: StagedFiles, table: DeltaTable, change: Change) -> int:
    """The version that stands on the opened one and holds the files that come, in their schema, and no other."""
    from deltalake import Schema

    return _write(staged.location, table, "overwrite", Schema.from_arrow(staged.schema), change)


def restore(
    location: Location, read: int, version: int, transactions: Mapping[str, int], evidence: Mapping[str, Any]
) -> int:
    """The version that stands directly on the one that was read and holds the files and columns of an older one.

    Raises ConflictError where somebody committed since.
    """
    table = opened(location)
    if table is None or table.version() != read:
        raise _conflict(location, read)
    kept = properties(Change((), (), transactions, evidence), {})
    with _committing(location, read, "RESTORE", kept):
        table.restore(version, commit_properties=kept, post_commithook_properties=hooks())
    return read + 1


def _write(location: Location, table: DeltaTable, mode: str, schema: Schema, change: Change) -> int:
    version, metadata = table.version(), table.metadata()
    # The columns are only said where they are others.
    columns = _columns(table, json.loads(schema.to_json())["fields"]) if schema != table.schema() else ""
    kept = properties(change, sealed(change, columns))
    # What is overwritten goes by itself.
    going = removing(change) if mode == "append" else []
    with _committing(location, version, "WRITE", kept):
        table.create_write_transaction(
            [*adding(change), *going],
            mode,
            schema,
            metadata.partition_columns,
            commit_properties=kept,
            post_commithook_properties=hooks(),
        )
    return version + 1


def _columns(table: DeltaTable, fields: Iterable[Any]) -> str:
    """The opened table's columns as a seal has them, where its fields are these."""
    metadata = table.metadata()
    return seals.columns(json.dumps({"fields": list(fields)}), metadata.partition_columns, metadata.configuration)


@contextmanager
def _committing(location: Location, version: int, operation: str, kept: CommitProperties) -> Iterator[None]:
    """What happens inside commits directly on the version; an error of it is ours, or none where the commit stands.

    kept: what goes with the commit, by which it is known again.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise _conflict(location, version) from error
    except (DeltaError, OSError) as error:
        # A checkpoint for which there is no room comes behind the commit; maintenance makes it again.
        if not _stands(location, version + 1, {"operation": operation, **(kept.custom_metadata or {})}):
            raise _uncommitted(location, error) from error


def _stands(location: Location, version: int, said: Mapping[str, str]) -> bool:
    """Whether the version is there, and is the commit that says this of itself."""
    try:
        table = opened(location, version)
    except PlatformError:
        return False
    return table is not None and said.items() <= table.history(1)[0].items()


def _uncommitted(location: Location, error: Exception) -> ServiceError:
    return ServiceError(
        f"{location.key} could not be committed, but what is made has to be: {first_line(error)}",
        remedy="See that its store can be written to and has room, and run it again; the last version stands",
    )


def _conflict(location: Location, version: int | None) -> ConflictError:
    since = "while it was being made" if version is None else f"since version {version}"
    return ConflictError(
        f"{location.key} was committed to by somebody else {since}, but this commit builds on what stood then",
        remedy="Run it again; nothing was written",
    )
