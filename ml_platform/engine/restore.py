"""Restore: a table as it was at an older version, in a commit on top, with the batches that this undoes open again.

The numbers under which a table keeps what it was made from go back with its rows, so that the next run offers again
whatever came since, exactly once. A source's manifest forgets which batch took what: the rows that stand say it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from ml_platform.engine import delta, delta_log
from ml_platform.engine.manifest import APP_ID
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.engine.table_log import read_log, require_whole
from ml_platform.errors import DeclarationError, NotFoundError
from ml_platform.records.table import Location, TableSnapshot
from ml_platform.roles.lakehouse import Lakehouse

_MANIFEST = "__manifest"
_RESTORED = "restored"


@dataclass(frozen=True)
class Restored:
    """What became of a restore.

    version: the table's version now, which holds what version `of` held; the one that stood where nothing differed.
    files_back, files_gone: data files that came and went. reopened: names of batches that are open again.
    """

    key: str
    of: int
    version: int
    rows: int
    files_back: int
    files_gone: int
    reopened: tuple[str, ...]
    why: str


def restore(key: str, version: int, why: str, lakehouse: Lakehouse) -> Restored:
    """The table holds what it held at the version, and what was made since is open again.

    why: kept in the commit. Raises NotFoundError for a table or a version that is not there, in whole; the table then
    stands as it stood. A conflict with a writer is tried again.
    """
    if not why.strip():
        raise DeclarationError("the reason is empty, but a restore says why", remedy="Say it with --why")
    if key.endswith(_MANIFEST):
        raise DeclarationError(
            f"{key} is a manifest, but it goes back with the table that it is of",
            remedy=f"Restore {key.removesuffix(_MANIFEST)}",
        )
    manifest = lakehouse.table(f"{key}{_MANIFEST}")
    target = _target(lakehouse.table(key), version)
    # First, so that nothing is taken for ingested if this ends half way; and last, for a run may have read the rows
    # meanwhile and written down what was to be forgotten.
    until_undisputed(lambda: _forget_batches(manifest, why))
    done = until_undisputed(lambda: _restored(target, why))
    until_undisputed(lambda: _forget_batches(manifest, why))
    return done


def _target(location: Location, version: int) -> TableSnapshot:
    """The version to go back to, of which every file is there."""
    if delta.snapshot(location) is None:
        raise NotFoundError(f"the table {location.key} is not there, but it is to be restored")
    log = read_log(location)
    require_whole(log)
    if not 0 <= version <= log.latest:
        raise NotFoundError(
            f"version {version} of {location.key} is asked for, but there never was one",
            allowed=f"Versions go from {log.first} to {log.latest}",
        )
    gone = f"version {version} of {location.key} is asked for, but maintenance has cleared it away"
    allowed = f"Versions that can be opened go from {log.first} to {log.latest}"
    try:
        target = delta.snapshot(location, version)
    except NotFoundError as error:
        raise NotFoundError(gone, allowed=allowed) from error
    missing = {file.path for file in target.files} - present(location) if target else set()
    if target is None or missing:
        raise NotFoundError(f"{gone}: {len(missing)} of its files are gone", remedy="Choose a newer version")
    return target


def _restored(target: TableSnapshot, why: str) -> Restored:
    location, version = target.location, target.version
    now = delta.existing(location)
    names = read_log(location).transaction_names()
    stands = delta.transactions(location, names, now.version)
    stood = delta.transactions(location, names, version)
    back = {name: number for name, number in stood.items() if number != stands[name]}
    numbers = {name: delta_log.UNDONE if number is None else number for name, number in back.items()}
    coming, going = ({f.path for f in a.files} - {f.path for f in b.files} for a, b in ((target, now), (now, target)))
    after = now.version
    if coming or going or numbers or now.schema != target.schema:
        after = delta_log.restore(
            location, now.version, version, numbers, {_RESTORED: {"version": version, "why": why}}
        )
    if location.access:
        location.access.committed(target.schema)
    reopened = tuple(sorted(back))
    return Restored(location.key, version, after, target.rows, len(coming), len(going), reopened, why)


def _forget_batches(location: Location, why: str) -> None:
    """The manifest knows what its files hold, and of no batch; where there is none, nothing is done.

    It is committed even where nothing differs, so that a run which has read it before cannot write to it any more.
    """
    import pyarrow as pa

    before = delta.snapshot(location)
    if before is None:
        return
    rows = delta.read_rows(before)
    at = rows.schema.names.index("sequence")
    rows = rows.set_column(at, "sequence", pa.nulls(rows.num_rows, pa.int64()))
    stood = present(location)
    staged = stage(rows.to_batches(), before.schema, location)
    with undone_on_failure(staged, stood):
        delta.commit(
            staged,
            read=before,
            replaced=before.files,
            transactions={APP_ID: 0, _RESTORED: before.version + 1},
            evidence={_RESTORED: {"why": why}},
        )
