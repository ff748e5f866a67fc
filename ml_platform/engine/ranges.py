"""Ranges: how far a table has landed, by the names of its files, and by a mark beside them that outlives these.

A file is named by the watermarks that its rows lie between, so two whose ranges overlap would bring a row twice.
"""

from __future__ import annotations

import fcntl
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pyarrow.fs import FileSelector, FileSystem, FileType

from ml_platform.engine import intent
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.landed import paths
from ml_platform.engine.manifest import Entry
from ml_platform.errors import ConflictError, SourceError
from ml_platform.records.table import Location
from ml_platform.roles.lakehouse import Lakehouse

_MARKS = "platform/extracted"
_MARK = ".mark"
_BEGINNING = "beginning"
_BETWEEN = "_to_"
_FILE = ".parquet"


@dataclass(frozen=True)
class _Span:
    """The range that a path says, of keys or of moments. low: None for the beginning."""

    path: str
    low: Any
    high: Any


def path_of(table: str, low: str | None, high: str) -> str:
    """The path of the file that holds the rows between two watermarks, or those from the beginning on.

    >>> path_of("orders", None, "2024-01-01 00:00:00")
    'orders/beginning_to_2024-01-01%2000:00:00.parquet'
    """
    return f"{table}/{_BEGINNING if low is None else quote(low, safe=':+')}{_BETWEEN}{quote(high, safe=':+')}{_FILE}"


def landed(table: str, files: FileSystem) -> list[str]:
    """The paths of the table's files."""
    return [path for path in paths(files) if path.startswith(f"{table}/")]


def ends(key: str, table: str, files: FileSystem, lakehouse: Lakehouse) -> list[str]:
    """The watermarks that the landed files go up to, and the one that was reached before where such were removed.

    Raises SourceError for files whose ranges overlap.
    """
    found = landed(table, files)
    require_apart(found, found)
    mark, marks = _mark(table), _marks(key, lakehouse)
    said = [unquote(path.removesuffix(_FILE).partition(_BETWEEN)[2]) for path in found]
    if marks is not None and marks.get_file_info(mark).type == FileType.File:
        with marks.open_input_stream(mark) as stream:
            said.append(stream.read().decode())
    return said


def remember(key: str, table: str, end: str, lakehouse: Lakehouse) -> None:
    """The table has landed up to the watermark, whatever becomes of its files."""
    put(filesystem(_beside(key, lakehouse)), _mark(table), end.encode())


def require_once(key: str, offered: Collection[str], entries: Sequence[Entry], lakehouse: Lakehouse) -> None:
    """Returns where no file that is to be ingested has rows of another, which may be gone.

    entries: what a source has taken. Other landings, into which nothing is extracted, may call files as they like.
    """
    marks = _marks(key, lakehouse)
    found = [] if marks is None else marks.get_file_info(FileSelector("", allow_not_found=True))
    if any(it.path.endswith(_MARK) for it in found):
        taken = {entry.path for entry in entries if entry.sequence is not None}
        require_apart([path for path in offered if path not in taken], [*offered, *taken])


def require_apart(new: Collection[str], known: Collection[str]) -> None:
    """Returns where no new file's range overlaps another's of its table; names that say no range are passed over.

    known: whose rows were taken, whether they still stand or not.
    """
    for spans in _by_table({*new, *known}).values():
        spans.sort(key=lambda span: (span.low is not None, span.high if span.low is None else span.low, span.high))
        widest = spans[0]
        for span in spans[1:]:
            if (span.low is None or span.low < widest.high) and not {span.path, widest.path}.isdisjoint(new):
                raise SourceError(
                    f"{span.path} has a range that overlaps that of {widest.path}, but each row lands once",
                    remedy=f"Remove the one that landed last, with the mark of the table in files/{_MARKS}; put the "
                    "other back where it was removed; then materialize the landing again",
                )
            widest = max(widest, span, key=lambda span: span.high)


@contextmanager
def alone(key: str, table: str, lakehouse: Lakehouse) -> Iterator[None]:
    """Nobody else of this machine extracts the table meanwhile. Raises ConflictError where somebody does.

    An object store has no lock: there, whoever lands looks again before.
    """
    where = _beside(key, lakehouse)
    if "://" in where.uri or intent.planned():
        yield
        return
    folder = Path(where.uri)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{quote(table, safe='')}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise overtaken(table) from error
        yield


def overtaken(table: str) -> ConflictError:
    """The error for an extraction beside which another one goes."""
    return ConflictError(
        f"{table} is to be extracted, but another run extracts it; nothing has landed by this one",
        remedy="Run it again once the other is done",
    )


def _beside(key: str, lakehouse: Lakehouse) -> Location:
    return lakehouse.files(f"{_MARKS}/{key}")


def _marks(key: str, lakehouse: Lakehouse) -> FileSystem | None:
    """The file system of the marks; None where a folder for them was never made, as it is not to be by who asks."""
    where = _beside(key, lakehouse)
    return filesystem(where) if "://" in where.uri or Path(where.uri).is_dir() else None


def _mark(table: str) -> str:
    return f"{quote(table, safe='')}{_MARK}"


def _by_table(found: Collection[str]) -> dict[tuple[str, type], list[_Span]]:
    """Folder and kind of watermark → the ranges there, where names say one."""
    spans: dict[tuple[str, type], list[_Span]] = {}
    for path in found:
        folder, _, name = path.rpartition("/")
        low, between, high = (unquote(part) for part in name.removesuffix(_FILE).partition(_BETWEEN))
        from_, until = None if low == _BEGINNING else _point(low), _point(high)
        if between and until is not None and (low == _BEGINNING or type(from_) is type(until)):
            spans.setdefault((folder, type(until)), []).append(_Span(path, from_, until))
    return spans


def _point(text: str) -> int | datetime | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
