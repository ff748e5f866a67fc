"""Agreement: whether what a log says twice is the same, and whether its files are what it says of them.

A checkpoint repeats what the commits before it came to; a data file has its columns in its footer, and its partition in
its folder's name. A log that was altered, in a way that its readers take for another table, disagrees with one of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from ml_platform.engine.file_name import digest_in
from ml_platform.engine.files import DAMAGED, filesystem
from ml_platform.engine.seals import Told, columns, told
from ml_platform.engine.table_log import FOLDER, TableLog
from ml_platform.records.table import DataFile, TableSnapshot


@dataclass(frozen=True)
class _Standing:
    """What a version comes to. files: path → what is said of it; columns: as in `seals`; numbers: by their names."""

    files: Mapping[str, Told]
    columns: str
    numbers: Mapping[str, int]


def disputed(log: TableLog) -> Iterator[str]:
    """What is wrong with the checkpoints, a sentence each: one that cannot be read, or says otherwise than commits."""
    files = filesystem(log.location)
    standing = _Standing({}, "", {}) if 0 in log.entries else None
    at = -1
    for version, names in sorted(log.checkpoints.items()):
        if standing is not None:
            standing = _replayed(log, standing, at, version)
        try:
            said = _said([action for name in names for action in _actions(files, name)])
        except DAMAGED as error:
            yield f"the checkpoint of version {version} cannot be read: {str(error).partition(chr(10))[0]}"
            continue
        if standing is not None:
            yield from (f"the checkpoint of version {version} {told}" for told in _differing(said, standing))
        standing, at = said, version


def _differing(said: _Standing, come_to: _Standing) -> Iterator[str]:
    """What a checkpoint says otherwise than what commits come to, the rest of the sentence."""
    if said.files.keys() != come_to.files.keys():
        yield f"has {len(said.files)} files, but the commits before it come to others"
    for path in sorted(said.files.keys() & come_to.files.keys()):
        if not _agree(said.files[path], come_to.files[path]):
            yield f"says otherwise of {path} than the commit that added it"
    if said.columns != come_to.columns:
        yield "has other columns than the commits before it come to"
    if other := sorted(name for name, number in come_to.numbers.items() if said.numbers.get(name) != number):
        yield f"keeps other numbers than the commits before it come to: {', '.join(other)}"


def _agree(said: Told, added: Told) -> bool:
    """Whether a checkpoint says of a file what its commit said; some writers' checkpoints leave out statistics."""
    return said[:2] == added[:2] and (not said[2] or said[2] == added[2] or _parsed(said[2]) == _parsed(added[2]))


def _parsed(statistics: str) -> Any:
    with suppress(ValueError):
        return json.loads(statistics)
    return statistics


def _replayed(log: TableLog, standing: _Standing, after: int, until: int) -> _Standing | None:
    """What stands at a version, from what did at an older one; None where a commit is not there."""
    files, columns, numbers = dict(standing.files), standing.columns, dict(standing.numbers)
    for version in range(after + 1, until + 1):
        if version not in log.entries:
            return None
        doing = log.entries[version].doing
        for path in doing.removes:
            files.pop(path, None)
        files.update(doing.adds)
        columns = doing.columns or columns
        numbers.update(doing.transactions)
    return _Standing(files, columns, numbers)


def _actions(files: FileSystem, name: str) -> list[dict[str, Any]]:
    with files.open_input_file(f"{FOLDER}/{name}") as stream:
        # All of it, for a reader may stumble on any part.
        actions: list[dict[str, Any]] = pq.ParquetFile(stream).read(use_threads=False).to_pylist()
    return actions


def _said(actions: list[dict[str, Any]]) -> _Standing:
    """What a checkpoint says. Raises where an action of it has no sense."""
    adds = [action["add"] for action in actions if action["add"] and action["add"]["path"]]
    (metadata,) = (action["metaData"] for action in actions if action["metaData"] and action["metaData"]["id"])
    kept = [action["txn"] for action in actions if action.get("txn") and action["txn"]["appId"]]
    configuration = dict(metadata["configuration"] or ())
    return _Standing(
        {unquote(add["path"]): told(add["size"], dict(add["partitionValues"] or ()), add.get("stats")) for add in adds},
        columns(metadata["schemaString"], metadata["partitionColumns"], configuration),
        {transaction["appId"]: transaction["version"] for transaction in kept},
    )


def mislaid(of: TableSnapshot, file: DataFile) -> str:
    """What the log says wrongly of a file that we wrote, the rest of the sentence; empty where it agrees."""
    if digest_in(file.path) is None:
        return ""
    folder = "/".join(f"{column}={quote(str(file.partition[column]), safe='')}" for column in of.partition_by)
    if folder and not file.path.startswith(f"{folder}/"):
        return f"is said to be of {folder}"
    with filesystem(of.location).open_input_file(file.path) as stream:
        holds: Mapping[str, pa.DataType] = {field.name: field.type for field in pq.read_schema(stream)}
    says = {field.name: field.type for field in of.schema}
    for name, kind in holds.items():
        if says.get(name) != kind:
            return f"has the column {name} of {kind}, but the log says {says.get(name, 'that there is none')}"
    return ""
