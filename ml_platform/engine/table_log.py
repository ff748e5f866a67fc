"""The log of a Delta table, read as the files that it is made of: what each commit added, removed and recorded.

For questions that are about all versions at once, or about the log itself; one version is opened by `engine.delta_log`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ml_platform.engine import seals
from ml_platform.engine.files import DAMAGED, filesystem
from ml_platform.engine.log_errors import unreached, unreadable
from ml_platform.engine.seals import SEAL, Doing
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

FOLDER = "_delta_log"
_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.\d{10}\.\d{10})?\.parquet")


@dataclass(frozen=True)
class Entry:
    """One commit.

    at: its moment, seconds since 1970. adds, removes: paths of data files. transactions: name → number.
    evidence: what the commit says of itself, for people; a value that is JSON is decoded.
    data_change: whether rows came or went by it; compaction only arranges them anew.
    doing: all that it does, as its seal covers it.
    """

    version: int
    at: float
    adds: frozenset[str]
    removes: frozenset[str]
    transactions: Mapping[str, int]
    evidence: Mapping[str, Any]
    data_change: bool
    doing: Doing


@dataclass(frozen=True)
class TableLog:
    """Everything that a log's folder holds.

    entries: version → commit, of those that were not cleaned up. checkpoints: version → its files' names.
    faults: what is wrong with it, a sentence each; what is wrong is left out of the entries.
    """

    location: Location
    entries: Mapping[int, Entry]
    checkpoints: Mapping[int, Sequence[str]]
    faults: Sequence[str]

    @property
    def latest(self) -> int:
        """The last version; -1 where there is none."""
        return max((*self.entries, *self.checkpoints), default=-1)

    @cached_property
    def first(self) -> int | None:
        """The oldest version that can be opened; None where none can."""
        if 0 in self.entries:
            return 0
        return min(self.checkpoints, default=None)

    def transaction_names(self) -> frozenset[str]:
        """Every name that the table ever kept a number under. Raises ServiceError for a checkpoint that is damaged."""
        names = {name for entry in self.entries.values() for name in entry.transactions}
        version = max(self.checkpoints, default=-1)
        for name in self.checkpoints.get(version, ()):
            try:
                names |= set(_kept(self.location, name))
            except DAMAGED as error:
                told = f"the checkpoint of version {version} is damaged: {str(error).partition(chr(10))[0]}"
                raise unreadable(self.location, told) from error
        return frozenset(names)


def _kept(location: Location, checkpoint: str) -> list[str]:
    """The names that a checkpoint keeps numbers under."""
    import pyarrow.parquet as pq

    with filesystem(location).open_input_file(f"{FOLDER}/{checkpoint}") as stream:
        kept = pq.read_table(stream, columns=["txn"])["txn"].to_pylist()
    return [transaction["appId"] for transaction in kept if transaction]


def read_log(location: Location) -> TableLog:
    """The log of a table that stands; without entries where there is none. Nothing is raised for what is damaged.

    Raises ServiceError where the store does not give what it has: nobody is to decide by a part of a log.
    """
    files, found = _listed(location)
    entries: dict[int, Entry] = {}
    checkpoints: dict[int, list[str]] = {}
    faults: list[str] = []
    named: set[int] = set()
    for info in sorted(found, key=lambda info: str(info.path)):
        name = str(info.path).rpartition("/")[2]
        if entry := _ENTRY.fullmatch(name):
            version = int(entry[1])
            named.add(version)
            try:
                entries[version] = _entry(version, files, info)
                faults += _unsealed(entries[version])
            except OSError as error:
                raise unreached(location, error) from error
            except DAMAGED as error:
                faults.append(f"commit {version} cannot be parsed: {error}")
        elif checkpoint := _CHECKPOINT.fullmatch(name):
            checkpoints.setdefault(int(checkpoint[1]), []).append(name)
    if any(SEAL in entry.evidence for entry in entries.values()):
        silent = [version for version, entry in entries.items() if not entry.evidence]
        faults += [f"commit {version} has lost what it said of itself" for version in silent]
    return TableLog(location, entries, checkpoints, [*faults, *_gaps(named, checkpoints)])


def _unsealed(entry: Entry) -> list[str]:
    """What is wrong with a commit that carries a seal: that it does not match."""
    given = entry.evidence.get(SEAL)
    if given is None or seals.matches(given, entry.doing):
        return []
    return [f"commit {entry.version} does not hold what was committed"]


def stands(location: Location) -> bool:
    """Whether there is a table, its log sound or not; nothing is made where there is none."""
    from pyarrow.fs import FileType

    if "://" not in location.uri and not Path(location.uri).exists():
        return False
    files, found = _listed(location)
    return bool(found) or files.get_file_info(FOLDER).type == FileType.Directory


def _listed(location: Location) -> tuple[FileSystem, Sequence[FileInfo]]:
    """The table's files, and what is in its log's folder."""
    from pyarrow.fs import FileSelector

    try:
        files = filesystem(location)
        return files, files.get_file_info(FileSelector(FOLDER, allow_not_found=True))
    except OSError as error:
        raise unreached(location, error) from error


def require_whole(log: TableLog) -> None:
    """Returns where the log has no fault; else raises ServiceError."""
    if log.faults:
        raise ServiceError(
            f"the log of the table {log.location.key} is damaged, but what it names is decided by it: "
            + "; ".join(log.faults),
            remedy="Put the missing entries back; nothing was touched",
        )


def _gaps(named: set[int], checkpoints: Mapping[int, Sequence[str]]) -> list[str]:
    """Commits that are not there, though older and newer ones are, or a checkpoint that is older."""
    if not named:
        return [] if checkpoints else ["there is no commit in it"]
    # Clean-up leaves entries from some checkpoint on; what stands before the newest one can be whole without them.
    first = min(named) if min(named) == 0 or not checkpoints else min(*named, *(v + 1 for v in checkpoints))
    last = max(*named, *checkpoints, 0)
    faults = [f"commit {version} is missing" for version in range(first, last + 1) if version not in named]
    if first and not checkpoints:
        faults.insert(0, f"commits before {first} are missing, and there is no checkpoint")
    return faults


def _entry(version: int, files: FileSystem, info: FileInfo) -> Entry:
    with files.open_input_stream(info.path) as stream:
        lines = [json.loads(line) for line in stream.read().splitlines() if line.strip()]
    said: dict[str, list[Any]] = {}
    for line in lines:
        for kind, action in line.items():
            said.setdefault(kind, []).append(action)
    about = said.get("commitInfo", [{}])[0]
    at = about["timestamp"] / 1000 if "timestamp" in about else info.mtime.timestamp()
    doing = _doing(said)
    return Entry(
        version=version,
        at=at,
        adds=frozenset(doing.adds),
        removes=frozenset(doing.removes),
        transactions=doing.transactions,
        evidence={name: _decoded(value) for name, value in about.items()},
        data_change=any(it.get("dataChange", True) for kind in ("add", "remove") for it in said.get(kind, ())),
        doing=doing,
    )


def _doing(said: Mapping[str, Sequence[Any]]) -> Doing:
    """What a commit does, from its actions by their kind."""
    metadata = said.get("metaData", [None])[-1]
    return Doing(
        adds={
            unquote(it["path"]): seals.told(it.get("size", 0), it.get("partitionValues") or {}, it.get("stats"))
            for it in said.get("add", ())
        },
        removes=[unquote(it["path"]) for it in said.get("remove", ())],
        transactions={it["appId"]: it["version"] for it in said.get("txn", ())},
        columns=seals.columns(metadata["schemaString"], metadata["partitionColumns"], metadata.get("configuration", {}))
        if metadata
        else "",
    )


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
