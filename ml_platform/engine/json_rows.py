"""JSON lines: rows of a stream of text with one JSON object a line, some megabytes of it at a time.

A key that is missing, or null, is NULL; an empty line is no row. A number with a fraction or an exponent is no integer,
dates, timestamps and texts are strings, and what is nested is no value.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json as arrow_json

from ml_platform.engine.column_types import arrow_type, kind_of, no_rows
from ml_platform.engine.csv_rows import converted
from ml_platform.engine.source_rows import COLUMNS, TYPE, Misfit, Part, first_line
from ml_platform.errors import SourceError

_BLOCK_BYTES = 4 * 2**20
_LONGEST_LINE_BYTES = 64 * 2**20
_PIECE_LINES = 64
_DEEP = 500
_TEXTS = ("date", "timestamp")
# A whole file may begin with a byte order mark.
_OBJECT = (b"{", b"\xef\xbb\xbf{")


def rows(stream: Any, path: str, columns: Mapping[str, str]) -> Iterator[Part]:
    """The rows, with the columns in the declared order; lines that do not fit are misfits.

    stream: anything with `read`. Raises SourceError for a line that is too long to be one.
    """
    start = 0
    for block in lines(stream, path):
        good, bad = _divided(block, columns)
        misfits = tuple(_misfit(start + at, block[at], columns, why) for at, why in bad)
        refused = {at for at, _ in bad}
        offsets = pa.array([start + at for at in range(len(block)) if at not in refused], pa.int64())
        yield Part(pa.concat_batches(good) if good else no_rows(columns), offsets, misfits)
        start += len(block)


def kinds(stream: Any, path: str) -> dict[str, str]:
    """Every key of the lines with the declared type that its values fit; text, where there are several or none.

    Lines that are no JSON objects of plain values say nothing.
    """
    found: dict[str, str] = {}
    for whole in lines(stream, path):
        block = [line for line in whole if _begins_object(line) and not _is_deep(line)]
        try:
            schema = arrow_json.read_json(pa.BufferReader(b"\n".join(block)), _reading(block)).schema
        except pa.ArrowInvalid:
            continue
        for field in schema:
            # Arrow takes a text that looks like a moment for one; only a declaration says that it is.
            kind = kind_of(field.type) if not pa.types.is_timestamp(field.type) else "string"
            kind = "int64" if kind == "int32" else kind or "string"
            found[field.name] = kind if found.get(field.name, kind) == kind else _wider(found[field.name], kind)
    return found


def _wider(one: str, other: str) -> str:
    return "float64" if {one, other} == {"int64", "float64"} else "string"


def lines(stream: Any, path: str) -> Iterator[list[bytes]]:
    """The lines that are not empty, in order, some megabytes of them at a time.

    Raises SourceError for one that is too long to be one.
    """
    rest = b""
    while block := bytes(stream.read(_BLOCK_BYTES)):
        whole, newline, behind = (rest + block).rpartition(b"\n")
        rest = behind
        if len(rest) > _LONGEST_LINE_BYTES:
            raise SourceError(
                f"{path} has a line of more than {_LONGEST_LINE_BYTES} bytes, but a line is one JSON object",
                remedy="Land the file as JSON lines, one object a line",
            )
        if newline and (found := [line for line in whole.split(b"\n") if line.strip()]):
            yield found
    if rest.strip():
        yield [rest]


def _divided(
    lines: Sequence[bytes], columns: Mapping[str, str]
) -> tuple[list[pa.RecordBatch], list[tuple[int, Exception]]]:
    """The lines that fit, and the places of those that do not; none is read more than three times."""
    try:
        return [_read(lines, columns)], []
    except pa.ArrowInvalid as error:
        if len(lines) == 1:
            return [], [(0, error)]
    step = _PIECE_LINES if len(lines) > _PIECE_LINES else 1
    good: list[pa.RecordBatch] = []
    bad: list[tuple[int, Exception]] = []
    for first in range(0, len(lines), step):
        fit, misfits = _divided(lines[first : first + step], columns)
        good += fit
        bad += [(first + at, why) for at, why in misfits]
    return good, bad


def _read(lines: Sequence[bytes], columns: Mapping[str, str]) -> pa.RecordBatch:
    if not all(map(_begins_object, lines)):
        # Arrow takes a line of null for a row, and dies of an array behind one.
        raise pa.ArrowInvalid("it is not one JSON object a line")
    wire = {name: pa.string() if kind in _TEXTS else arrow_type(kind) for name, kind in columns.items()}
    table = arrow_json.read_json(
        pa.BufferReader(b"\n".join(lines)),
        _reading(lines),
        arrow_json.ParseOptions(explicit_schema=pa.schema(list(wire.items())), unexpected_field_behavior="error"),
    )
    if table.num_rows != len(lines):
        raise pa.ArrowInvalid("it is not one JSON object a line")
    whole = table.combine_chunks().to_batches()[0]
    whole.validate(full=True)  # Arrow reads bytes that are no UTF-8 as they are
    arrays = [moments(whole[name], kind) if kind in _TEXTS else whole[name] for name, kind in columns.items()]
    return pa.record_batch(arrays, names=list(columns))


def moments(texts: pa.Array, kind: str) -> pa.Array:
    """Dates or timestamps, from texts. Raises ArrowInvalid for one that is none; an empty one is NULL in CSV only."""
    import pyarrow.compute as pc

    if pc.any(pc.equal(texts, "")).as_py():
        raise pa.ArrowInvalid(f"an empty text is no {kind}")
    return converted(texts, kind)


def _begins_object(line: bytes) -> bool:
    return line.startswith(_OBJECT) or line.lstrip().startswith(_OBJECT)


def _is_deep(line: bytes) -> bool:
    """Whether the line is nested deeper than Python reads it; Arrow dies of such a line where no type is declared."""
    if line.count(b"[") + line.count(b"{") < _DEEP:
        return False
    try:
        json.loads(line)
    except RecursionError:
        return True
    except ValueError:
        return False
    return False


def _reading(lines: Sequence[bytes]) -> arrow_json.ReadOptions:
    return arrow_json.ReadOptions(use_threads=False, block_size=sum(map(len, lines)) + len(lines) + 1)


def _misfit(offset: int, line: bytes, columns: Mapping[str, str], error: Exception) -> Misfit:
    rule, reason = _fault(line, columns, error)
    return Misfit(offset, rule, reason, line.decode("utf-8", "replace").strip())


def _fault(line: bytes, columns: Mapping[str, str], error: Exception) -> tuple[str, str]:
    try:
        pairs = json.loads(line, object_pairs_hook=_Object)
    except ValueError as fault:
        return TYPE, f"the line is no JSON ({fault})"
    except RecursionError:
        return TYPE, "the line is nested too deeply, but a column holds plain values"
    if not isinstance(pairs, _Object):
        return TYPE, "the line is no JSON object"
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        return TYPE, f"the key {', '.join(twice)} stands twice, but only one of them could be taken"
    strange = [name for name, _ in pairs if name not in columns]
    if strange:
        return COLUMNS, f"the line has a key {', '.join(strange)} that its source does not declare"
    return TYPE, "; ".join(_misread(pairs, columns)) or first_line(error)


class _Object(list[Any]):
    """An object's pairs, in order."""


def _misread(pairs: _Object, columns: Mapping[str, str]) -> Iterator[str]:
    for name, value in pairs:
        if isinstance(value, list):
            yield f"{name} is nested, but a column holds plain values"
            continue
        try:
            _read([json.dumps({name: value}).encode()], {name: columns[name]})
        except pa.ArrowInvalid:
            yield f"{name} is {json.dumps(value)}, but it is declared as {columns[name]}"
