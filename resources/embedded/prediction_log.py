"""A prediction log in a local folder: one line of JSON a record, in a file for each endpoint and day."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ml_platform.engine.record_lines import decode, encode
from ml_platform.errors import ServiceError
from ml_platform.records.prediction import ServedPrediction
from resources.embedded.log_file import LogFile, end_of_lines, last_line, lines_until, reading, segments

if TYPE_CHECKING:
    from ml_platform.roles.prediction_log import PredictionLog

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class EmbeddedPredictionLog:
    """Any number of processes may append and read. A cursor is the number of records that were seen.

    An appended record is the kernel's: the server's death, by SIGKILL too, loses none. The disk has it within
    `sync_seconds`: the machine's loss of power loses at most that much. With 0.0 no answer is given before the disk has
    its record, which takes as long as the disk does.
    folder: made by the first record.
    """

    def __init__(self, folder: str, sync_seconds: float = 1.0) -> None:
        self._folder, self._sync_seconds = Path(folder).absolute(), sync_seconds
        self._files: dict[str, LogFile] = {}
        self._lock = Lock()

    def append(self, records: Sequence[ServedPrediction]) -> None:
        """As the role promises: one write for the records of an endpoint; after a failure none of them stands."""
        lines: dict[str, list[bytes]] = {}
        for record in records:
            lines.setdefault(record.endpoint, []).append(encode(record))
        for endpoint, group in lines.items():
            try:
                self._file(endpoint).append(b"".join(group), records[0].served_at.date().isoformat())
            except OSError as error:
                raise ServiceError(
                    f"{self._path(endpoint)} is not writable ({error.strerror}), but every answer is logged before it "
                    "is given",
                    remedy="Free space or mend the folder's permissions, then send the request again",
                ) from error

    def since(self, endpoint: str, cursor: int, limit: int) -> tuple[Sequence[ServedPrediction], int]:
        """As the role promises. Raises ServiceError for a line that is no record."""
        records: list[ServedPrediction] = []
        with reading(self._path(endpoint)) as (aside, file, end):
            for segment in aside:
                if segment.end <= cursor or len(records) >= limit:
                    continue
                wanted = max(cursor, segment.start)
                with segment.path.open("rb") as lines:
                    # A file that expired is empty, and keeps the places of what it held.
                    found = islice(lines, wanted - segment.start, wanted - segment.start + limit - len(records))
                    some = [decode(line, str(segment.path), wanted + n) for n, line in enumerate(found, 1)]
                records += some
                cursor = wanted + len(some) if some else max(cursor, segment.end)
            if file and len(records) < limit:
                start = max((segment.end for segment in aside), default=0)
                skipped = max(cursor - start, 0)
                found = islice(lines_until(file, end), skipped, skipped + limit - len(records))
                some = [decode(line, str(file.name), skipped + n) for n, line in enumerate(found, 1)]
                records += some
                cursor += len(some)
        return records, cursor

    def expire(self, endpoint: str, cursor: int, before: datetime) -> int:
        """As the role promises, by whole days, for a file goes when all of its records may."""
        path = self._path(endpoint)
        if path.exists():
            self._file(endpoint).set_aside(lambda line: decode(line, str(path), 0).served_at < before)
        gone, aside = 0, segments(path)
        for segment in aside:
            if segment.end > cursor or not segment.path.stat().st_size or not _served_before(segment.path, before):
                continue
            # The last one keeps its name, by which the next is numbered.
            if segment is aside[-1]:
                os.truncate(segment.path, 0)
            else:
                segment.path.unlink()
            gone += segment.end - segment.start
        return gone

    @property
    def waits(self) -> bool:
        """Whether an append waits for the disk; else the kernel takes the records, which is a matter of memory."""
        return not self._sync_seconds

    def lag_seconds(self) -> float:
        """For how long the oldest acknowledged record has not been safe from a loss of power; 0.0 where all are."""
        return max((file.lag_seconds() for file in [*self._files.values()]), default=0.0)

    def flush(self) -> None:
        """The disk has every record."""
        for file in [*self._files.values()]:
            file.sync()

    def _file(self, endpoint: str) -> LogFile:
        with self._lock:
            if endpoint not in self._files:
                self._files[endpoint] = LogFile(self._path(endpoint), self._sync_seconds)
            return self._files[endpoint]

    def forget(self, endpoint: str, holds: Callable[[ServedPrediction], bool]) -> int:
        """How many records say no more than that they were: their inputs and features are gone, their places stay.

        Idempotent. Each is written over where it stands, at its own length, so that no cursor moves.
        """
        path = self._path(endpoint)
        with reading(path) as (aside, file, _):
            files = [*(segment.path for segment in aside), *([path] if file else [])]
        return sum(_forgotten(each, holds) for each in files)

    def _path(self, endpoint: str) -> Path:
        if not _NAME.fullmatch(endpoint):
            raise ServiceError(
                f"the endpoint is {endpoint!r}, but its name becomes a file's",
                allowed="A name is letters, digits, _ and - and opens with a letter or digit",
            )
        return self._folder / f"{endpoint}.jsonl"


def _served_before(path: Path, moment: datetime) -> bool:
    line = last_line(path)
    return bool(line) and decode(line, str(path), 0).served_at < moment


def _forgotten(path: Path, holds: Callable[[ServedPrediction], bool]) -> int:
    """How many lines of a file were written over, each at its own length. Whoever appends meanwhile is behind them."""
    count, place = 0, 0
    with path.open("r+b") as file:
        for number, line in enumerate(list(lines_until(file, end_of_lines(file.fileno()))), 1):
            record = decode(line, str(path), number)
            if holds(record):
                os.pwrite(file.fileno(), _emptied(record, len(line)), place)
                count += 1
            place += len(line)
        os.fsync(file.fileno())
    return count


def _emptied(record: ServedPrediction, size: int) -> bytes:
    """The record without what it was asked and what it saw, as a line of so many bytes."""
    inputs = dict.fromkeys(record.inputs)
    lines = (encode(replace(record, inputs=kept, features={}, views={})) for kept in (inputs, {}))
    return next(line for line in lines if len(line) <= size).rstrip(b"\n").ljust(size - 1) + b"\n"


if TYPE_CHECKING:
    _: type[PredictionLog] = EmbeddedPredictionLog
