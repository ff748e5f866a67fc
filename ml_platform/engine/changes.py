"""Changes: the data files that a span of a table's commits added and removed, as its log says.

A commit that only arranges rows anew (`dataChange` false: compaction, clustering) changes nothing. A file that came and
was arranged away since is still a file that came. A restore within the span takes back what came since the version
that it went back to; one to a version before the span takes back what was there when the span began.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_platform.engine import delta_log
from ml_platform.engine.files import filesystem
from ml_platform.records.table import DataFile, Location

_BEFORE_ALL = -1


@dataclass(frozen=True)
class Changes:
    """What a span of commits did.

    came, went: files whose rows came to the table and left it. undone: those of them that a restore to a version before
    the span brought back or took away.
    """

    came: tuple[DataFile, ...]
    went: tuple[DataFile, ...]
    undone: tuple[DataFile, ...] = ()


@dataclass(frozen=True)
class _Commit:
    """One commit's files that changed rows, as added or not. restored: the version that it went back to, if any."""

    version: int
    files: Sequence[tuple[bool, DataFile]]
    restored: int | None


def between(location: Location, after: int, until: int) -> Changes | None:
    """What the commits after a version did, up to and with another; None where the log has lost one of them.

    A file that came may be gone from the store by now; see `readable`.
    """
    commits = _commits(location, after, until)
    if commits is None:
        return None
    came, went, undone = _net(commits, after)
    moved = {**came, **went}
    return Changes(tuple(came.values()), tuple(went.values()), tuple(f for path, f in undone.items() if path in moved))


def touching(location: Location, after: int, until: int) -> list[tuple[int, DataFile]] | None:
    """Every file that came or went after a version, up to and with another, beside the version that says so.

    None where the log has lost one of them.
    """
    commits = _commits(location, after, until)
    return None if commits is None else [(commit.version, file) for commit in commits for _, file in commit.files]


def readable(location: Location, files: Sequence[DataFile]) -> bool:
    """Whether every file is still in the store."""
    if not files:
        return True
    found = filesystem(location).get_file_info([file.path for file in files])
    return all(info.type.name == "File" for info in found)


def _net(commits: Sequence[_Commit], after: int) -> tuple[dict[str, DataFile], ...]:
    """The files that came, that went, and that a restore to before the span moved, by their paths."""
    came: dict[str, DataFile] = {}
    went: dict[str, DataFile] = {}
    undone: dict[str, DataFile] = {}
    for commit in commits:
        if commit.restored is not None and commit.restored >= after:
            came, went, undone = _net(commits[: commit.restored - after], after)
            continue
        for added, file in commit.files:
            # A file is named by its content: one that comes again is the one that went.
            if (went if added else came).pop(file.path, None) is None:
                (came if added else went)[file.path] = file
            if commit.restored is not None:
                undone[file.path] = file
    return came, went, undone


def _commits(location: Location, after: int, until: int) -> list[_Commit] | None:
    commits = []
    for version in range(after + 1, until + 1):
        commit = _commit(location, version)
        if commit is None:
            return None
        commits.append(commit)
    return commits


def _commit(location: Location, version: int) -> _Commit | None:
    """What one commit did; None where the log does not have it any more, or it does not say how large its files are."""
    try:
        with filesystem(location).open_input_stream(f"_delta_log/{version:020}.json") as stream:
            lines = [json.loads(line) for line in stream.read().decode().splitlines() if line.strip()]
    except FileNotFoundError:
        return None
    changing = list(_changing(lines))
    if any("size" not in action for _, action in changing):
        return None
    return _Commit(version, [(kind == "add", _file(action)) for kind, action in changing], _restored(lines))


def _restored(lines: Sequence[Mapping[str, Any]]) -> int | None:
    """The version that the commit went back to; one that goes by a moment is taken to go back before all others."""
    about: Mapping[str, Any] = next((line["commitInfo"] for line in lines if "commitInfo" in line), {})
    if about.get("operation") != "RESTORE":
        return None
    version = str((about.get("operationParameters") or {}).get("version"))
    return int(version) if version.isdigit() else _BEFORE_ALL


def _changing(lines: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for line in lines:
        for kind, action in line.items():
            if kind in ("add", "remove") and action.get("dataChange", True):
                yield kind, {"size": 0, **action} if kind == "remove" else action


def _file(action: Mapping[str, Any]) -> DataFile:
    statistics = action.get("stats") or "{}"
    partition = {column: str(value) for column, value in (action.get("partitionValues") or {}).items()}
    rows = json.loads(statistics).get("numRecords", 0)
    return DataFile(delta_log.spelled(action["path"]), action["size"], rows, partition, statistics)
