"""Vacuum: files that no retained version of a table names are gone, and log entries that no retained version needs.

Retained are the latest version, those that another took the place of within the retention, and those that a registered
model pins. A pinned version stays readable and can be opened: the log is kept from the oldest retained version on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ml_platform.engine import delta, table_log
from ml_platform.engine.files import filesystem
from ml_platform.engine.staging import GRACE_SECONDS
from ml_platform.engine.table_log import TableLog, read_log, require_whole
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.table import Location
from ml_platform.records.upkeep import Pin, Swept

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

_DAY_SECONDS = 24 * 3600
_OURS = re.compile(r"(?![_.]).*\.parquet(\.[0-9a-f]{32}\.writing)?")


def sweep(location: Location, retention_days: float, pins: Sequence[Pin], now: float) -> Swept:
    """The table's folder without what no retained version needs.

    pins: what models hold on to, of this table. now: seconds since 1970, by the clock of the store.
    A file that is younger than `staging.GRACE_SECONDS` stays: a writer may be about to commit it. Raises ServiceError
    for a damaged log and for a pinned version that cannot be opened; nothing is removed then.
    """
    log = read_log(location)
    require_whole(log)
    oldest, pinned = retained(log, retention_days, pins, now)
    named = _named(log, oldest, pinned)
    files, size = 0, 0
    for info in _unnamed(location, named, now):
        files, size = files + 1, size + int(info.size)
    entries = _cleaned_up(log, min((oldest, *pinned)))
    return Swept(files, size, entries, pinned, min((oldest, *pinned)))


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


def _named(log: TableLog, oldest: int, pinned: Mapping[int, Sequence[str]]) -> frozenset[str]:
    """The files of all retained versions."""
    named = {path for version, entry in log.entries.items() if version > oldest for path in entry.adds}
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
    """The data files that were removed: none of these names, and none that is young or came to be named meanwhile."""
    from pyarrow.fs import FileSelector, FileType

    files = filesystem(location)
    found = files.get_file_info(FileSelector("", recursive=True, allow_not_found=True))
    old = [info for info in found if info.type == FileType.File and _is_old(info, now)]
    going = [info for info in old if info.path not in named and _OURS.fullmatch(info.path)]
    # A writer may have staged one of them again, and committed it, since the log was read.
    latest = {file.path for file in delta.existing(location).files} if going else set()
    for info in going:
        if info.path not in latest and _is_old(files.get_file_info(info.path), now):
            files.delete_file(info.path)
            yield info


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
