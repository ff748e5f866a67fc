"""A prediction log in an object store: records numbered from 0, in objects that are named by their first record.

The store itself gives the records one order: an object is written only where its name is free, so of two servers that
write at one moment the second sees the first and goes on behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Protocol

from ml_platform.engine.record_lines import decode, encode
from ml_platform.records.prediction import ServedPrediction

# How many records an object holds at most: as far as a reader who starts within an object has to look back.
_OBJECT_RECORDS = 1000
_DIGITS = 18


class Objects(Protocol):
    """The part of an object store that a log needs; names are `/`-separated and below one prefix."""

    def put_new(self, name: str, content: bytes) -> bool:
        """Whether the object is there now by this call; False where it stood already, and is as it was."""
        ...

    def names(self, folder: str, after: str) -> Sequence[str]:
        """Names in the folder that sort after that one, in order: a page of them, which is empty only at the end."""
        ...

    def get(self, name: str) -> bytes:
        """The object's content."""
        ...

    def delete(self, name: str) -> None:
        """The object is gone."""
        ...


@dataclass
class _Group:
    """What one caller appends, and whether that was tried. error: why it does not stand."""

    records: Sequence[ServedPrediction]
    done: bool = False
    error: BaseException | None = None


class ObjectLog:
    """Any number of servers may append and read. A cursor is the number of records that were seen."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._next: dict[str, int] = {}
        self._writing, self._listing = Lock(), Lock()
        self._waiting: list[_Group] = []

    def append(self, records: Sequence[ServedPrediction]) -> None:
        """The records of each endpoint stand behind those that stood, in their order.

        Whoever comes while an object is being put shares the next one with all others who do.
        """
        mine = _Group(records)
        with self._listing:
            self._waiting.append(mine)
        with self._writing:
            if not mine.done:
                with self._listing:
                    groups, self._waiting = self._waiting, []
                self._write(groups)
        if mine.error:
            raise mine.error

    def _write(self, groups: Sequence[_Group]) -> None:
        """The records of all groups stand, or each is told why they do not."""
        endpoints: dict[str, list[ServedPrediction]] = {}
        for record in (record for group in groups for record in group.records):
            endpoints.setdefault(record.endpoint, []).append(record)
        error: BaseException | None = None
        try:
            for endpoint, records in endpoints.items():
                for start in range(0, len(records), _OBJECT_RECORDS):
                    self._append(endpoint, records[start : start + _OBJECT_RECORDS])
        except BaseException as raised:
            error = raised
        for group in groups:
            group.done, group.error = True, error

    def since(self, endpoint: str, cursor: int, limit: int) -> tuple[Sequence[ServedPrediction], int]:
        """As the role promises."""
        found: list[ServedPrediction] = []
        after = _name(endpoint, cursor - _OBJECT_RECORDS) if cursor >= _OBJECT_RECORDS else ""
        while len(found) < limit and (page := self._objects.names(endpoint, after)):
            starts = [_start(name) for name in page]
            for position, name in enumerate(page):
                if len(found) >= limit:
                    break
                # What expired before it was seen is passed over.
                cursor = max(cursor, starts[position] - len(found))
                wanted = cursor + len(found)
                behind = starts[position + 1] if position + 1 < len(page) else None
                if behind is not None and behind <= wanted:
                    continue
                lines = self._objects.get(name).splitlines()[wanted - starts[position] :]
                found += [decode(line, name, number) for number, line in enumerate(lines[: limit - len(found)], 1)]
            after = page[-1]
        return found, cursor + len(found)

    def expire(self, endpoint: str, cursor: int, before: datetime) -> int:
        """As the role promises, by whole objects; the last one stays, for the next is numbered by it."""
        gone, after = 0, ""
        while page := self._objects.names(endpoint, after):
            follows = self._objects.names(endpoint, page[-1])[:1]
            for name, behind in zip(page, [*page[1:], *follows], strict=False):
                if _start(behind) > cursor or not self._served_before(name, before):
                    return gone
                self._objects.delete(name)
                gone += _start(behind) - _start(name)
            after = page[-1]
        return gone

    def _served_before(self, name: str, moment: datetime) -> bool:
        lines = self._objects.get(name).splitlines()
        return decode(lines[-1], name, len(lines)).served_at < moment

    def _append(self, endpoint: str, records: Sequence[ServedPrediction]) -> None:
        content = b"".join(encode(record) for record in records)
        number = self._next[endpoint] if endpoint in self._next else self._end(endpoint)
        while not self._objects.put_new(_name(endpoint, number), content):
            standing = self._objects.get(_name(endpoint, number))
            # Where our own put was answered with an error though it was written, the retry finds it: it is ours.
            if standing == content:
                break
            number += len(standing.splitlines())
        self._next[endpoint] = number + len(records)

    def _end(self, endpoint: str) -> int:
        """How many records stand, found in a number of listings that grows with the logarithm of them."""
        if not self._objects.names(endpoint, ""):
            return 0
        low, high = 0, 1
        while self._objects.names(endpoint, _name(endpoint, high)):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._objects.names(endpoint, _name(endpoint, middle)) else (low, middle)
        # Some object begins at `high`, or the only one at 0.
        last = next(iter(self._objects.names(endpoint, _name(endpoint, low))), _name(endpoint, 0))
        return _start(last) + len(self._objects.get(last).splitlines())


def _name(endpoint: str, start: int) -> str:
    return f"{endpoint}/{start:0{_DIGITS}d}.jsonl"


def _start(name: str) -> int:
    return int(name.rpartition("/")[2].removesuffix(".jsonl"))
