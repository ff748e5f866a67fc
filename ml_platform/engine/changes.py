"""Changes: the data files that a span of a table's commits added and removed, as its log says.

A commit that only arranges rows anew (`dataChange` false: compaction, clustering) changes nothing. A file that came and
was arranged away since is still a file that came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_platform.engine import delta_log
from ml_platform.engine.files import filesystem
from ml_platform.records.table import DataFile, Location


@dataclass(frozen=True)
class Changes:
    """What a span of commits did. came, went: files whose rows came to the table and left it."""

    came: tuple[DataFile, ...]
    went: tuple[DataFile, ...]


def between(location: Location, after: int, until: int) -> Changes | None:
    """What the commits after a version did, up to and with another; None where the log has lost one of them.

    A file that came may be gone from the store by now; see `readable`.
    """
    came: dict[str, DataFile] = {}
    went: list[DataFile] = []
    for version in range(after + 1, until + 1):
        actions = _actions(location, version)
        if actions is None:
            return None
        for kind, action in actions:
            file = _file(action)
            if kind == "add":
                came[file.path] = file
            elif came.pop(file.path, None) is None:
                went.append(file)
    return Changes(tuple(came.values()), tuple(went))


def readable(location: Location, changes: Changes) -> bool:
    """Whether every file that came is still in the store."""
    if not changes.came:
        return True
    found = filesystem(location).get_file_info([file.path for file in changes.came])
    return all(info.type.name == "File" for info in found)


def _actions(location: Location, version: int) -> list[tuple[str, Mapping[str, Any]]] | None:
    """The commit's data files that changed rows; None where the log does not have the commit any more, or no size."""
    try:
        with filesystem(location).open_input_stream(f"_delta_log/{version:020}.json") as stream:
            lines = stream.read().decode().splitlines()
    except FileNotFoundError:
        return None
    found = list(_changing(lines))
    return None if any("size" not in action for _, action in found) else found


def _changing(lines: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for line in lines:
        for kind, action in json.loads(line).items() if line.strip() else ():
            if kind in ("add", "remove") and action.get("dataChange", True):
                yield kind, {"size": 0, **action} if kind == "remove" else action


def _file(action: Mapping[str, Any]) -> DataFile:
    statistics = action.get("stats") or "{}"
    partition = {column: str(value) for column, value in (action.get("partitionValues") or {}).items()}
    rows = json.loads(statistics).get("numRecords", 0)
    return DataFile(delta_log.spelled(action["path"]), action["size"], rows, partition, statistics)
