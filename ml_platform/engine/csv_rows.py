"""CSV: rows of a stream of text, some megabytes of it at a time.

A file is UTF-8, with or without a byte order mark, its lines ending in LF or CRLF; a quoted field may hold commas, line
breaks and doubled quotes. An empty field is NULL, an empty line is no row; where there is only one column, it is one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from ml_platform.engine.column_types import arrow_schema, arrow_type, no_rows
from ml_platform.engine.csv_text import BLOCK_BYTES, Text
from ml_platform.engine.held import beyond, holds
from ml_platform.engine.source_rows import TYPE, Misfit, Part, first_line, fitted, unreadable

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
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
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
