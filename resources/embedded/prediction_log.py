"""A prediction log in a local folder: one file an endpoint, one line of JSON a record."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ml_platform.engine.record_lines import decode, encode
from ml_platform.errors import ServiceError
from ml_platform.records.prediction import ServedPrediction

if TYPE_CHECKING:
    from ml_platform.roles.prediction_log import PredictionLog

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_BLOCK = 1 << 16


class EmbeddedPredictionLog:
    """Any number of processes may append and read; a lock on the endpoint's file gives their records one order.

    folder: made by the first record. A cursor is the number of records that were seen.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder).absolute()

    def append(self, records: Sequence[ServedPrediction]) -> None:
        """As the role promises: one write and one fsync for the records of an endpoint; after a failure none stands."""
        lines: dict[str, list[bytes]] = {}
        for record in records:
            lines.setdefault(record.endpoint, []).append(encode(record))
        for endpoint, group in lines.items():
            self._write(self._path(endpoint), b"".join(group))

    def since(self, endpoint: str, cursor: int, limit: int) -> tuple[Sequence[ServedPrediction], int]:
        """As the role promises. Raises ServiceError for a line that is no record."""
        path = self._path(endpoint)
        if not path.exists():
            return [], cursor
        with path.open("rb") as file:
            with _locked(file.fileno(), fcntl.LOCK_SH):
                end = _end_of_records(file.fileno())
            lines = islice(_lines_until(file, end), cursor, cursor + limit)
            records = [decode(line, str(path), number) for number, line in enumerate(lines, cursor + 1)]
        return records, cursor + len(records)

    def _path(self, endpoint: str) -> Path:
        if not _NAME.fullmatch(endpoint):
            raise ServiceError(
                f"the endpoint is {endpoint!r}, but its name becomes a file's",
                allowed="A name is letters, digits, _ and - and opens with a letter or digit",
            )
        return self._folder / f"{endpoint}.jsonl"

    def _write(self, path: Path, lines: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                with _locked(descriptor, fcntl.LOCK_EX):
                    _append(descriptor, lines, path.parent)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ServiceError(
                f"{path} is not writable ({error.strerror}), but every answer is logged before it is given",
                remedy="Free space or mend the folder's permissions, then send the request again",
            ) from error


@contextmanager
def _locked(descriptor: int, kind: int) -> Iterator[None]:
    fcntl.flock(descriptor, kind)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _append(descriptor: int, lines: bytes, folder: Path) -> None:
    """The lines stand after the last record, on the disk; where that fails, the file ends with the last record."""
    end = _end_of_records(descriptor)
    os.ftruncate(descriptor, end)
    try:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
        if end == 0:
            _flush_folder(folder)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _end_of_records(descriptor: int) -> int:
    """Where the last record ends, in bytes.

    A last line that is torn, or that a lost write left unreadable, was never acknowledged: its fsync had not returned.
    """
    size = os.fstat(descriptor).st_size
    start = _line_start(descriptor, size)
    line = os.pread(descriptor, size - start, start)
    return size if line.endswith(b"\n") and _is_json(line) else start


def _line_start(descriptor: int, end: int) -> int:
    """Where the line begins whose last byte is the one before `end`."""
    stop = end - 1
    while stop > 0:
        begin = max(0, stop - _BLOCK)
        found = os.pread(descriptor, stop - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        stop = begin
    return 0


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _lines_until(file: Any, end: int) -> Iterator[bytes]:
    position = 0
    for line in file:
        position += len(line)
        if position > end:
            return
        yield line


def _flush_folder(folder: Path) -> None:
    """The folder's new entry is on the disk: a file's own fsync does not promise that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if TYPE_CHECKING:
    _: type[PredictionLog] = EmbeddedPredictionLog
