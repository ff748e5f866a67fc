"""Restore: a table as it was at an older version, in a commit on top, with the batches that this undoes open again.

The numbers under which a table keeps what it was made from go back with its rows, so that the next run offers again
whatever came since, exactly once. The tables that stand beside it go back with it: its quarantine and its delete
markers to the versions that it names as its own. A source's manifest forgets which batch took what, for the rows that
stand say it again; its quarantine stays, for it is kept by files, and a file that is open again is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from ml_platform.engine import deleted, delta, delta_log, quarantine, vacuum
from ml_platform.engine.beside import NAME, named
from ml_platform.engine.incremental import SETTLED
from ml_platform.engine.manifest import APP_ID
from ml_platform.engine.recipe import READ
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.engine.table_log import read_log, require_whole
from ml_platform.errors import DeclarationError, NotFoundError
from ml_platform.records.table import Location, StagedFiles, TableSnapshot
from ml_platform.roles.lakehouse import Lakehouse

_MANIFEST = "__manifest"
_BESIDE = (quarantine.SUFFIX, deleted.SUFFIX)
_RESTORED = "restored"


@dataclass(frozen=True)
class Restored:
    """What became of a restore.

    version: the table's version now, which holds what version `of` held; the one that stood where nothing differed.
    files_back, files_gone: data files that came and went. reopened: names of batches that are open again.
    beside: tables beside it that went back with it → the version that they hold again; None for nothing.
    """

    key: str
    of: int
    version: int
    rows: int
    files_back: int
    files_gone: int
    reopened: tuple[str, ...]
    why: str
    beside: Mapping[str, int | None]


def restore(key: str, version: int, why: str, lakehouse: Lakehouse) -> Restored:
    """The table and those beside it hold what they held at the version, and what was made since is open again.

    why: kept in the commit. Raises NotFoundError for a table or a version that is not there, in whole; all then stand
    as they stood. A conflict with a writer is tried again. One that ended half way is made whole by the same again.
    """
    if not why.strip():
        raise DeclarationError("the reason is empty, but a restore says why", remedy="Say it with --why")
    _require_own(key)
    manifest = lakehouse.table(f"{key}{_MANIFEST}")
    target = _target(lakehouse.table(key), version)
    beside = [] if delta_log.opened(manifest) else _beside(target, lakehouse)
    # First, so that nothing is taken for ingested if this ends half way; and last, for a run may have read the rows
    # meanwhile and written down what was to be forgotten.
    until_undisputed(lambda: _forget_batches(manifest, why))
    done = until_undisputed(lambda: _restored(target, why))
    for location, back in beside:
        until_undisputed(partial(_back, location, back, why))
    until_undisputed(lambda: _forget_batches(manifest, why))
    return replace(done, beside={location.key: back.version if back else None for location, back in beside})


def _require_own(key: str) -> None:
    """Returns for a table that stands for itself."""
    for suffix, name in ((_MANIFEST, "a manifest"), *((suffix, "beside a table") for suffix in _BESIDE)):
        if key.endswith(suffix):
            raise DeclarationError(
                f"{key} is {name}, but it goes back with the table that it is of",
                remedy=f"Restore {key.removesuffix(suffix)}",
            )


def _beside(target: TableSnapshot, lakehouse: Lakehouse) -> list[tuple[Location, TableSnapshot | None]]:
    """The tables beside it that there are, and what each is to hold; None for nothing."""
    numbers = delta.transactions(target.location, [named(suffix) for suffix in _BESIDE], target.version)
    found: list[tuple[Location, TableSnapshot | None]] = []
    for suffix in _BESIDE:
        location, number = lakehouse.table(f"{target.location.key}{suffix}"), numbers[named(suffix)]
        if delta_log.opened(location) is not None:
            found.append((location, None if number is None else _target(location, number)))
    return found


def _back(location: Location, target: TableSnapshot | None, why: str) -> None:
    if target is None:
        _emptied(location, why)
    else:
        _restored(target, why)


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
    allowed = f"Versions that can be opened go from {log.first} to {log.latest}"
    try:
        target = delta.snapshot(location, version)
    except NotFoundError as error:
        raise _cleared_away(location, version, allowed=allowed) from error
    missing = {file.path for file in target.files} - present(location) if target else set()
    if target is None or missing:
        told = f": {len(missing)} of its files are gone"
        raise _cleared_away(location, version, told, remedy="Choose a newer version")
    return target


def _cleared_away(location: Location, version: int, told: str = "", **more: str) -> NotFoundError:
    gone = f"version {version} of {location.key} is asked for, but maintenance has cleared it away"
    return NotFoundError(f"{gone}{told}", **more)


def _restored(target: TableSnapshot, why: str) -> Restored:
    location, version = target.location, target.version
    now = delta.existing(location)
    names = [name for name in read_log(location).transaction_names() if not vacuum.is_mark(name)]
    stands = delta.transactions(location, names, now.version)
    stood = delta.transactions(location, names, version)
    back = {name: number for name, number in stood.items() if number != stands[name]}
    numbers = {name: delta_log.UNDONE if number is None else number for name, number in back.items()}
    coming, going = ({f.path for f in a.files} - {f.path for f in b.files} for a, b in ((target, now), (now, target)))
    if coming and not vacuum.is_left_whole(location, version, now.version):
        raise _cleared_away(location, version, remedy="Choose a newer version")
    after = now.version
    if coming or going or numbers or now.schema != target.schema:
        after = delta_log.restore(
            location, now.version, version, numbers, {_RESTORED: {"version": version, "why": why}}
        )
    if location.access:
        location.access.committed(target.schema)
    reopened = tuple(sorted(name for name in back if not name.startswith((NAME, SETTLED, READ))))
    return Restored(location.key, version, after, target.rows, len(coming), len(going), reopened, why, {})


def _emptied(location: Location, why: str) -> None:
    """The table has no row, and knows of nothing that it was made from; its columns stay."""
    now = delta.existing(location)
    names = [name for name in read_log(location).transaction_names() if not vacuum.is_mark(name)]
    stands = delta.transactions(location, names, now.version)
    delta.commit(
        StagedFiles(location, now.schema, now.partition_by, ()),
        read=now,
        replaced=now.files,
        transactions={name: delta_log.UNDONE for name, number in stands.items() if number is not None},
        evidence={_RESTORED: {"why": why}},
    )


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
