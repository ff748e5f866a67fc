"""CSV: rows of a stream of text, some megabytes of it at a time.

A file is UTF-8, with or without a byte order mark, its lines ending in LF or CRLF; a quoted field may hold commas, line
breaks and doubled quotes. An empty field is NULL, an empty line is no row; where there is only one column, it is one.
"""

from __future__ import annotations

import csv
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from ml_platform.engine.column_types import arrow_schema, arrow_type, no_rows
from ml_platform.engine.held import beyond, holds
from ml_platform.engine.source_rows import TYPE, Misfit, Part, first_line, fitted, unreadable
from ml_platform.errors import SourceError

_BLOCK_BYTES = 4 * 2**20
# Every text that Arrow converts matches, and an empty one, which is NULL; many that it does not convert match as well.
_NUMBER = r"^\s*([-+]?([0-9.]|[iI][nN][fF]|[nN][aA][nN])|$)"
_MOMENT = r"^\s*([-+]?[0-9]|$)"
_FORMS = {
    "int32": r"^\s*([-+]?[0-9]+)?\s*$",
    "int64": r"^\s*([-+]?[0-9]+)?\s*$",
    "float64": _NUMBER,
    "decimal": _NUMBER,
    "boolean": r"^\s*(?i:true|false|0|1)?\s*$",
    "date": _MOMENT,
    "timestamp": _MOMENT,
}
_INFINITY = r"^\s*[-+]?(?i:inf|infinity)\s*$"
_INTEGERS = ("int32", "int64")
_DECIMAL_DIGITS = 38


class DoubtfulError(Exception):
    """A file has a value that Arrow may have taken for another one; its texts have to be looked at."""


class Text:
    """A stream of CSV text that watches what passes. stream: anything with `read`.

    watches: whether it looks for `0x`. hexadecimal: whether any has passed since.
    """

    def __init__(self, path: str, stream: Any) -> None:
        self._path = path
        self._stream = stream
        self._head = stream.read(_BLOCK_BYTES)
        self._quotes = 0
        self._last = b""
        self._one_at_a_time = threading.Lock()
        self.closed = False
        self.watches = False
        self.hexadecimal = False

    def header(self) -> Sequence[str]:
        """The names in the first line. Raises SourceError for a file that has none."""
        if not self._head:
            raise damaged(self._path, "empty")
        line, _, _ = self._head.partition(b"\n")
        try:
            return next(csv.reader([line.decode("utf-8-sig")]), [])
        except UnicodeDecodeError as error:
            raise damaged(self._path, "not UTF-8") from error
        except csv.Error as error:
            raise _no_header(self._path, line, error) from error

    def read(self, size: int = -1) -> bytes:
        """The next bytes, none at the end.

        pyarrow reads ahead in a thread of its own, and still does when what it has read is refused.
        """
        with self._one_at_a_time:
            return self._next(size)

    def _next(self, size: int) -> bytes:
        content: bytes
        if self._head:
            content = self._head if size < 0 else self._head[:size]
            self._head = self._head[len(content) :]
        else:
            content = self._stream.read(size if size >= 0 else _BLOCK_BYTES)
        self._quotes += content.count(b'"')
        if self.watches and not self.hexadecimal:
            self.hexadecimal = _has_hexadecimal(content, self._last)
        self._last = content[-1:] or self._last
        return content

    def require_whole(self) -> None:
        """Returns where the text ended as a whole file does; reads what is left of it. Raises SourceError."""
        while self.read(_BLOCK_BYTES):
            pass
        if self._last != b"\n":
            raise damaged(self._path, "cut off in its last line")
        if self._quotes % 2:
            raise damaged(self._path, "cut off inside a quoted field, or has a quote that is not doubled")

    def close(self) -> None:
        """Whoever reads is done."""
        self.closed = True


def rows(text: Text, path: str, columns: Mapping[str, str], *, lenient: bool) -> Iterator[Part]:
    """The rows, with the columns in the declared order, whatever theirs in the file is.

    columns: those of the file's header, name → declared type. lenient: whether rows that do not fit come as misfits.
    Raises SourceError, naming the file, for one that is cut off, and for a row that does not fit where they do not;
    DoubtfulError where only `closely` can tell whether one fits.
    """
    try:
        yield from _lenient(text, columns) if lenient else _typed(text, columns)
    except pa.ArrowInvalid as error:
        text.require_whole()
        raise unreadable(path, first_line(error), columns) from error
    text.require_whole()


def closely(text: Text, path: str, columns: Mapping[str, str], done: int) -> Iterator[Part]:
    """The rows behind the first ones, each value looked at as a text. Raises SourceError for one that does not fit.

    done: how many rows of the same file, read from its beginning, are passed over.
    """
    for part in rows(text, path, columns, lenient=True):
        for misfit in part.misfits:
            # As Arrow counts: the header too, and from 1.
            raise unreadable(path, f"Row #{misfit.offset + 2}: {misfit.reason}", columns)
        passed = min(done, part.rows.num_rows)
        done -= passed
        yield Part(part.rows.slice(passed), part.offsets.slice(passed))


def converted(column: pa.Array, kind: str) -> pa.Array:
    """A column of texts as the reader of a whole file makes it. Raises ArrowInvalid for one that does not fit.

    It is that reader, so that what a strict source takes and what a lenient one takes is the same.
    """
    texts = column.cast(pa.string())
    if kind == "string":
        return texts
    written = pa.BufferOutputStream()
    arrow_csv.write_csv(pa.table({"column": texts}), written, arrow_csv.WriteOptions(quoting_style="all_valid"))
    read = arrow_csv.read_csv(
        pa.BufferReader(written.getvalue()),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=_options(pa.schema([pa.field("column", arrow_type(kind))])),
    )
    found = read["column"].combine_chunks() if read["column"].num_chunks != 1 else read["column"].chunk(0)
    _require_held(texts, found, kind)
    return found


def damaged(path: str, what: str) -> SourceError:
    """The error for a file that is not whole."""
    return SourceError(
        f"{path} is {what}, but a whole file has a header and ends with a line break",
        remedy="Land it again; nothing of it was taken",
    )


def _require_held(texts: pa.Array, found: pa.Array, kind: str) -> None:
    """Returns where every text is the value that Arrow made of it; raises ArrowInvalid for the first that is not."""
    import pyarrow.compute as pc

    if kind in _INTEGERS:
        wrong = pc.indices_nonzero(pc.match_substring(texts, "x", ignore_case=True))
        why = f"In CSV column #0: CSV conversion error to {kind}: invalid value '{{}}'"
    elif kind == "float64":
        wrong = beyond(found)
        wrong = wrong.filter(pc.invert(pc.match_substring_regex(texts.take(wrong), _INFINITY)))
        why = "'{}' is more than float64 holds"
    elif kind.startswith("decimal"):
        wrong = beyond(found) if _fits_decimal(texts, found) else pa.array([0])
        why = f"'{{}}' is more than {kind} holds"
    else:
        wrong, why = beyond(found), "'{}' is outside the years 1 to 9999, which tables hold"
    if len(wrong):
        raise pa.ArrowInvalid(why.format(texts[wrong[0].as_py()].as_py()))


def _fits_decimal(texts: pa.Array, found: pa.Array) -> bool:
    """Whether all texts are within the decimal's digits. Arrow's reader multiplies some until they wrap around."""
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(texts)
    filled = pc.if_else(pc.is_valid(found), trimmed, pa.scalar(None, pa.string()))
    try:
        filled.cast(found.type)
    except pa.ArrowInvalid:
        return False
    return True


def _is_wide(kind: str) -> bool:
    """Whether a decimal has so many digits that Arrow's reader may wrap around on the way to it."""
    wire = arrow_type(kind)
    return bool(pa.types.is_decimal(wire) and wire.precision + wire.scale > _DECIMAL_DIGITS)


def _has_hexadecimal(content: bytes, last: bytes) -> bool:
    """Whether a word that begins with `0x` stands in what follows the last byte; within words it is no number."""
    import numpy as np

    # Behind what is no letter, so that there are two places before each.
    found = np.frombuffer(b"\n\n" + last + content, np.uint8)
    at = np.flatnonzero((found | 32) == ord("x"))
    at = at[found[at - 1] == ord("0")]
    before = found[at - 2]
    letters = ((before | 32) >= ord("a")) & ((before | 32) <= ord("z")) | (before >= ord("0")) & (before <= ord("9"))
    return not letters.all()


def _no_header(path: str, line: bytes, error: Exception) -> SourceError:
    if b"\r" in line.rstrip(b"\r"):
        return SourceError(
            f"{path} has a line that ends in CR alone, but lines end in LF or in CRLF",
            remedy="Land it with such line ends; nothing of it was taken",
        )
    return damaged(path, f"without a header that can be read ({error})")


def _typed(text: Text, columns: Mapping[str, str]) -> Iterator[Part]:
    start = 0
    text.watches = any(kind in _INTEGERS for kind in columns.values())
    if any(map(_is_wide, columns.values())):
        raise DoubtfulError
    for batch in _read(text, arrow_schema(columns), None):
        if text.hexadecimal or not all(map(holds, batch.columns)):
            raise DoubtfulError
        yield Part(batch.select(list(columns)), _places(start, batch.num_rows))
        start += batch.num_rows


def _lenient(text: Text, columns: Mapping[str, str]) -> Iterator[Part]:
    """Every field is read as bytes first; a line with another number of fields than the header is a misfit."""
    ragged: deque[Misfit] = deque()

    def skipped(row: Any) -> str:
        why = f"Expected {row.expected_columns} columns, got {row.actual_columns}"
        # Its number counts the header, and from 1.
        ragged.append(Misfit(row.number - 2, TYPE, why, row.text))
        return "skip"

    start = 0
    raw = pa.schema([pa.field(name, pa.binary()) for name in columns])
    for batch in _read(text, raw, skipped):
        places, misfits = _placed(start, batch.num_rows, ragged)
        start += batch.num_rows + len(misfits)
        part = fitted(batch, places, columns, converted, _FORMS)
        yield Part(part.rows, part.offsets, tuple(sorted((*misfits, *part.misfits), key=lambda it: it.offset)))
    if ragged:
        yield Part(no_rows(columns), _places(0, 0), tuple(ragged))


def _placed(start: int, count: int, ragged: deque[Misfit]) -> tuple[pa.Array, list[Misfit]]:
    """The places of the next rows, and the lines among them and right behind them that were skipped.

    ragged: skipped lines, in order, also of blocks that the reader has only parsed ahead; those of these rows leave it.
    """
    import numpy as np

    among: list[Misfit] = []
    while ragged and ragged[0].offset <= start + count + len(among):
        among.append(ragged.popleft())
    every = np.arange(start, start + count + len(among), dtype=np.int64)
    return pa.array(np.delete(every, [it.offset - start for it in among])), among


def _read(text: Text, schema: pa.Schema, skipped: Any) -> Iterator[pa.RecordBatch]:
    # One thread: only then does a fault come with the number of its row.
    return iter(
        arrow_csv.open_csv(
            pa.PythonFile(text, mode="r"),
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=len(schema) > 1, invalid_row_handler=skipped
            ),
            convert_options=_options(schema),
        )
    )


def _options(schema: pa.Schema) -> arrow_csv.ConvertOptions:
    return arrow_csv.ConvertOptions(
        column_types=schema,
        strings_can_be_null=True,
        null_values=[""],
        true_values=["true"],
        false_values=["false"],
    )


def _places(start: int, count: int) -> pa.Array:
    import numpy as np

    return pa.array(np.arange(start, start + count, dtype=np.int64))
