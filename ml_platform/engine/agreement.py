"""Agreement: whether what a log says twice is the same, and whether its files are what it says of them.

A checkpoint repeats what the commits before it came to; a data file has its columns in its footer, and its partition in
its folder's name. A log that was altered, in a way that its readers take for another table, disagrees with one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from ml_platform.engine.file_name import digest_in
from ml_platform.engine.files import filesystem
from ml_platform.engine.table_log import FOLDER, TableLog
from ml_platform.records.table import DataFile, TableSnapshot


def disputed(log: TableLog) -> Iterator[str]:
    """What is wrong with the checkpoints, a sentence each: one that cannot be read, or has other files than commits."""
    files = filesystem(log.location)
    standing: frozenset[str] | None = frozenset() if 0 in log.entries else None
    at = -1
    for version, names in sorted(log.checkpoints.items()):
        if standing is not None:
            standing = _replayed(log, standing, at, version)
        try:
            said = frozenset(path for name in names for path in _added(files, name))
        except (OSError, ValueError, KeyError, TypeError) as error:  # Arrow's are of these
            yield f"the checkpoint of version {version} cannot be read: {str(error).partition(chr(10))[0]}"
            continue
        if standing is not None and said != standing:
            yield f"the checkpoint of version {version} has {len(said)} files, but the commits before it come to others"
        standing, at = said, version


def _replayed(log: TableLog, standing: frozenset[str], after: int, until: int) -> frozenset[str] | None:
    """The files that stand at a version, from those that did at an older one; None where a commit is not there."""
    for version in range(after + 1, until + 1):
        entry = log.entries.get(version)
        if entry is None:
            return None
        standing = (standing - entry.removes) | entry.adds
    return standing


def _added(files: FileSystem, name: str) -> Iterator[str]:
    with files.open_input_file(f"{FOLDER}/{name}") as stream:
        # All of it, for a reader may stumble on any part.
        actions = pq.ParquetFile(stream).read().to_pylist()
    yield from (unquote(action["add"]["path"]) for action in actions if action["add"] and action["add"]["path"])


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
