"""Vacuum: files that no retained version of a table names are gone, and log entries that no retained version needs.

Retained are the latest version, those that another took the place of within the retention, and those that a registered
model pins. A pinned version stays readable and can be opened: the log is kept from the oldest retained version on. What
came since a table that appends last read this one stays too, commits and files, however long it waits.

Before a file goes, a commit says from which version on files stay. It stands on what the vacuum has looked at, or the
vacuum looks again; whoever restores reads it first. So the two take turns, and no restored file goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_platform.engine import claims, delta, table_log
from ml_platform.engine.files import filesystem
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import GRACE_SECONDS
from ml_platform.engine.table_log import TableLog, read_log, require_whole
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.table import Location, StagedFiles
from ml_platform.records.upkeep import Pin, Swept

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

_DAY_SECONDS = 24 * 3600
_OURS = re.compile(r"(?![_.]).*\.parquet(\.[0-9a-f]{32}\.writing)?")
# Numbers that a table keeps: which vacuum was the last, the oldest version that it left whole, and older ones so left.
_SWEEP, _SWEPT, _KEPT = "sweep", "swept", "kept:"


@dataclass(frozen=True)
class _Look:
    """What a vacuum goes by. unread: the versions that tables have yet to read on from → these tables."""

    log: TableLog
    oldest: int
    pinned: Mapping[int, Sequence[str]]
    unread: Mapping[int, Sequence[str]]
    going: Sequence[FileInfo]

    @property
    def first(self) -> int:
        return min((self.oldest, *self.pinned))


def sweep(
    location: Location,
    retention_days: float,
    pins: Sequence[Pin],
    now: float,
    waiting: Mapping[str, int] | None = None,
) -> Swept:
    """The table's folder without what no retained version needs.

    pins: what models hold on to, of this table. now: seconds since 1970, by the clock of the store.
    waiting: tables that append what comes to this one → the version that each has yet to read on from.
    A file that is younger than `staging.GRACE_SECONDS` stays: a writer may be about to commit it. Raises ServiceError
    for a damaged log and for a pinned version that cannot be opened; nothing is removed then.
    """
    look = until_undisputed(lambda: _looked(location, retention_days, pins, now, waiting or {}))
    files, size = 0, 0
    for info in _removed(location, look, now):
        files, size = files + 1, size + int(info.size)
    claims.forget(location, now, GRACE_SECONDS)
    # Whoever reads on goes through every commit, also one that only arranges rows.
    entries = _cleaned_up(look.log, min((look.first, *(waiting or {}).values())))
    return Swept(files, size, entries, look.pinned, look.first, look.unread)


def is_left_whole(location: Location, version: int, at: int) -> bool:
    """Whether the vacuums that the table had by a version of it have left all files of another."""
    names = (_SWEEP, _SWEPT, f"{_KEPT}{version}")
    marks = delta.transactions(location, names, at)
    sweep_, swept, kept = (marks[name] for name in names)
    return swept is None or version >= swept or kept == sweep_


def is_mark(name: str) -> bool:
    """Whether a number under this name is a vacuum's: it says what is gone, and a restore brings nothing back."""
    return name in (_SWEEP, _SWEPT) or name.startswith(_KEPT)


def _looked(
    location: Location, retention_days: float, pins: Sequence[Pin], now: float, waiting: Mapping[str, int]
) -> _Look:
    """What goes; where anything does, the table says so, in a commit on the version that was looked at."""
    log = read_log(location)
    require_whole(log)
    oldest, pinned = retained(log, retention_days, pins, now)
    unread = _unread(log, oldest, waiting)
    named = _named(log, oldest, {**unread, **pinned}, min(unread, default=oldest))
    look = _Look(log, oldest, pinned, unread, list(_unnamed(location, named, now)))
    if look.going:
        _announce(look)
    return look


def _announce(look: _Look) -> None:
    read = delta.snapshot(look.log.location, look.log.latest)
    if read is None:
        raise AssertionError(f"{look.log.location.key} was read and is not there")
    number = look.log.latest + 1
    delta.commit(
        StagedFiles(read.location, read.schema, read.partition_by, ()),
        read=read,
        replaced=(),
        transactions={
            _SWEEP: number,
            _SWEPT: look.oldest,
            **{f"{_KEPT}{version}": number for version in look.pinned},
        },
        evidence={"maintenance": {"vacuum": {"files": len(look.going), "oldest": look.oldest}}},
        data_change=False,
    )


def retained(
    log: TableLog, retention_days: float, pins: Sequence[Pin], now: float
) -> tuple[int, dict[int, tuple[str, ...]]]:
    """The oldest version within the retention, and the older ones that models pin → those models."""
    if log.first is None:
        raise NotFoundError(f"the table {log.location.key} has no version that can be opened")
    # Whoever opened the version that stood a moment ago may still be reading its log and its files.
    horizon = now - max(retention_days * _DAY_SECONDS, GRACE_SECONDS)
    successors = [version for version, entry in log.entries.items() if entry.at >= horizon]
    oldest = max(min(successors, default=log.latest + 1) - 1, log.first)
    pinned: dict[int, tuple[str, ...]] = {}
    for pin in sorted(pins, key=lambda pin: (pin.version, pin.model, pin.number)):
        if pin.version < oldest:
            pinned[pin.version] = (*pinned.get(pin.version, ()), f"{pin.model} version {pin.number}")
    return oldest, pinned


def _unread(log: TableLog, oldest: int, waiting: Mapping[str, int]) -> dict[int, tuple[str, ...]]:
    """The versions beyond the retention from which on tables have rows to read → these tables."""
    unread: dict[int, tuple[str, ...]] = {}
    for reader, version in sorted(waiting.items()):
        at = next((v - 1 for v, entry in sorted(log.entries.items()) if v > version and entry.data_change), log.latest)
        if log.first is not None and log.first <= at < oldest:
            unread[at] = (*unread.get(at, ()), reader)
    return unread


def _named(log: TableLog, oldest: int, pinned: Mapping[int, Sequence[str]], since: int) -> frozenset[str]:
    """The files of all retained versions, and those that came since a version."""
    named = {path for version, entry in log.entries.items() if version > since for path in entry.adds}
    for version in (oldest, *pinned):
        try:
            found = delta.snapshot(log.location, version)
        except NotFoundError as error:
            raise ServiceError(
                f"version {version} of {log.location.key} cannot be opened, but it is to be kept"
                + (f" for {', '.join(pinned[version])}" if version in pinned else ""),
                remedy="Nothing was removed; run the audit, it says what is missing",
            ) from error
        named |= {file.path for file in found.files} if found else set()
    return frozenset(named)


def _unnamed(location: Location, named: frozenset[str], now: float) -> Iterator[FileInfo]:
    """The data files that none of these names, and that are not young."""
    from pyarrow.fs import FileSelector, FileType

    found = filesystem(location).get_file_info(FileSelector("", recursive=True, allow_not_found=True))
    for info in found:
        ours = info.type == FileType.File and _OURS.fullmatch(info.path)
        if ours and info.path not in named and _is_old(info, now):
            yield info


def _removed(location: Location, look: _Look, now: float) -> Iterator[FileInfo]:
    """The files that went: a writer may have staged one of them again meanwhile, which made it young."""
    files = filesystem(location)
    gone = set()
    for info in look.going:
        if _is_old(files.get_file_info(info.path), now):
            files.delete_file(info.path)
            gone.add(info.path)
            yield info
    wanted = {file.path for file in delta.existing(location).files} & gone if gone else set()
    if wanted:
        raise ServiceError(
            f"{location.key} names {len(wanted)} files that a vacuum removed, for a writer wrote the same rows again "
            "at that moment",
            remedy="Restore its version before, and make it again",
        )


def _is_old(info: FileInfo, now: float) -> bool:
    """Where the store does not say how old a file is, it is young."""
    return info.mtime is not None and now - info.mtime.timestamp() > GRACE_SECONDS


def _cleaned_up(log: TableLog, first: int) -> int:
    """How many entries and checkpoints were removed from the log, of which no version from the first on has a need."""
    base = max((version for version in log.checkpoints if version <= first), default=None)
    if base is None:
        return 0
    going = [f"{version:020}.json" for version in sorted(log.entries) if version <= base]
    going += [name for version, names in sorted(log.checkpoints.items()) if version < base for name in names]
    files = filesystem(log.location)
    for name in going:
        files.delete_file(f"{table_log.FOLDER}/{name}")
    return len(going)
