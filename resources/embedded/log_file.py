"""The file of a log: lines appended by any number of processes, in one order, and set aside as segments by the day.

`<name>.jsonl` is written to; what was set aside is `<name>/<start>-<end>.jsonl`, by the places of its lines in the
log. A lock on the file gives its writers their order, and whoever holds it alone may set it aside.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

_BLOCK = 1 << 16
_DIGITS = 18


@dataclass(frozen=True)
class Segment:
    """A file that no line is added to any more. start, end: the places of its lines, from 0, `end` not among them."""

    path: Path
    start: int
    end: int


class LogFile:
    """One log as this process appends to it; any thread may.

    path: of the file that is written to. sync_seconds: how old an acknowledged line becomes before the disk has it;
    with 0.0 the disk has it when `append` returns, and lines that come at one moment share the wait.
    """

    def __init__(self, path: Path, sync_seconds: float) -> None:
        self._path, self._sync_seconds = path, sync_seconds
        self._lock, self._syncing = threading.Lock(), threading.Lock()
        self._descriptor = -1
        self._end = -1  # of the file as we left it
        self._day = ""  # of its first line
        self._appended = self._synced = 0
        self._waiting_since: float | None = None

    def append(self, lines: bytes, day: str) -> None:
        """The lines stand behind the last one, so that the end of this process cannot lose them.

        day: of the lines, ISO 8601; where the file's first is of an earlier one the file is set aside before. Raises
        OSError, and the log is as it was.
        """
        with self._lock:
            with self._locked():
                over = self._end > 0 and day > self._day
                if over:
                    self._set_aside()
                else:
                    self._write(lines, day)
            if over:
                with self._locked():
                    self._write(lines, day)
            self._appended += 1
            mine = self._appended
            self._sync_later()
        if not self._sync_seconds:
            self._sync(mine)

    def lag_seconds(self) -> float:
        """For how long the oldest line has stood that the disk may not have yet."""
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def sync(self) -> None:
        """The disk has every line that was appended."""
        self._sync(self._appended)

    def set_aside(self, where: Callable[[bytes], bool]) -> None:
        """What was written to is a segment now, where its last line, if it has any, is such a one."""
        with self._lock, self._locked():
            if self._end and where(last_line(self._path)):
                self._set_aside()

    def _sync_later(self) -> None:
        if self._waiting_since is not None:
            return
        self._waiting_since = time.monotonic()
        if not self._sync_seconds:
            return
        timer = threading.Timer(self._sync_seconds, self.sync)
        # The end of the process does not wait for it: the kernel has the lines.
        timer.daemon = True
        timer.start()

    def _sync(self, mine: int) -> None:
        with self._syncing:
            if self._synced >= mine:
                return
            with self._lock:
                reached = self._appended
                # What was set aside was synced then.
                descriptor = os.dup(self._descriptor) if self._descriptor >= 0 else None
            if descriptor is not None:
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            with self._lock:
                self._synced, self._waiting_since = reached, None
                if self._appended > reached:
                    self._sync_later()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The file is open, is the one of its name, ends with its last line, and nobody else writes to it."""
        while True:
            if self._descriptor < 0:
                self._open()
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if _is_named(self._descriptor, self._path):
                break
            self._close()
        held = self._descriptor
        try:
            self._find_end()
            yield
        finally:
            if self._descriptor == held:
                fcntl.flock(held, fcntl.LOCK_UN)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = -1

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def _find_end(self) -> None:
        if os.fstat(self._descriptor).st_size == self._end:
            return
        self._end = end_of_lines(self._descriptor)
        os.ftruncate(self._descriptor, self._end)
        self._day = first_day(self._descriptor) if self._end else ""

    def _write(self, lines: bytes, day: str) -> None:
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if self._end == 0:
                self._day = day
                flush_folder(self._path.parent)
        except OSError:
            os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(lines)

    def _set_aside(self) -> None:
        os.fsync(self._descriptor)
        start = max((segment.end for segment in segments(self._path)), default=0)
        with self._path.open("rb") as file:
            lines = sum(1 for _ in file)
        folder = self._path.with_suffix("")
        folder.mkdir(exist_ok=True)
        self._path.rename(folder / f"{start:0{_DIGITS}d}-{start + lines:0{_DIGITS}d}.jsonl")
        flush_folder(folder)
        flush_folder(self._path.parent)
        self._close()


def segments(path: Path) -> list[Segment]:
    """What was set aside of the log, in order."""
    found = []
    for file in sorted(path.with_suffix("").glob("*-*.jsonl")):
        start, end = (int(part) for part in file.stem.split("-"))
        found.append(Segment(file, start, end))
    return found


@contextmanager
def reading(path: Path) -> Iterator[tuple[list[Segment], IO[bytes] | None, int]]:
    """The segments, the file that is written to, if there is one, and where its last whole line ends, at one moment."""
    while True:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            yield segments(path), None, 0
            return
        with file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH)
            try:
                if not _is_named(file.fileno(), path):
                    continue
                found, end = segments(path), end_of_lines(file.fileno())
            finally:
                fcntl.flock(file.fileno(), fcntl.LOCK_UN)
            yield found, file, end
            return


def lines_until(file: IO[bytes], end: int) -> Iterator[bytes]:
    """The file's lines as far as that byte."""
    position = 0
    for line in file:
        position += len(line)
        if position > end:
            return
        yield line


def end_of_lines(descriptor: int) -> int:
    """Where the last line ends, in bytes; one that is torn, or that a lost write left unreadable, is none."""
    size = os.fstat(descriptor).st_size
    start = _line_start(descriptor, size)
    line = os.pread(descriptor, size - start, start)
    return size if line.endswith(b"\n") and _is_json(line) else start


def last_line(path: Path) -> bytes:
    """The last line of a file that ends with one; empty where the file is."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = _line_start(file.fileno(), size)
        return os.pread(file.fileno(), size - start, start)


def first_day(descriptor: int) -> str:
    """The day on which the first line was served, ISO 8601; empty where it does not say."""
    line = os.pread(descriptor, _BLOCK, 0).partition(b"\n")[0]
    _, _, rest = line.partition(b'"served_at":"')
    return rest[:10].decode(errors="replace")


def flush_folder(folder: Path) -> None:
    """The folder's new entry is on the disk: a file's own fsync does not promise that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has the name, which another process may have set aside meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


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
