"""Rows of a source file as they are read: parts of it, each row with its place, and the rows that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ml_platform.errors import SourceError

# Rules, by which a row is refused.
TYPE, COLUMNS, PARTITION = "type", "columns", "partition"
# So few values are tried one by one.
_FEW = 8


@dataclass(frozen=True)
class Misfit:
    """A row that cannot be taken as it is declared.

    offset: its place in the file, counted from 0. rule: which kind of fault it has first. reason: every fault, in
    sentences. row: as it came, a JSON object where it can be one.
    """

    offset: int
    rule: str
    reason: str
    row: str


@dataclass(frozen=True)
class Part:
    """Some rows of a file, in its order, as its source declares them. offsets: the place of each in the file."""

    rows: pa.RecordBatch
    offsets: pa.Array
    misfits: tuple[Misfit, ...] = ()


Convert = Callable[[pa.Array, str], pa.Array]


def fitted(
    raw: pa.RecordBatch,
    offsets: pa.Array,
    columns: Mapping[str, str],
    convert: Convert,
    forms: Mapping[str, str] | None = None,
) -> Part:
    """The rows of which every field fits, converted, and the others as misfits.

    raw: the columns by name, as they came. convert: makes a column of a declared type, or raises ArrowInvalid.
    forms: as for `divided`, by declared type.
    """
    done: dict[str, pa.Array] = {}
    faults: dict[int, list[str]] = {}
    for name, kind in columns.items():
        form = (forms or {}).get(kind.partition("(")[0])
        pieces, bad = divided(raw[name], lambda piece, kind=kind: convert(piece, kind), form)  # type: ignore[misc]
        done[name] = pieces
        for at, why in bad:
            faults.setdefault(at, []).append(f"{name}: {why}")
    kept = [at for at in range(raw.num_rows) if at not in faults] if faults else None
    refused = pa.array(sorted(faults), pa.int64())
    shown_rows = _shown_rows(raw.take(refused)) if faults else []
    misfits = tuple(
        Misfit(offset, TYPE, "; ".join(faults[at]), _as_json(row))
        for at, offset, row in zip(sorted(faults), offsets.take(refused).to_pylist(), shown_rows, strict=True)
    )
    arrays = [_joined(done[name], kind, convert, raw[name], kept) for name, kind in columns.items()]
    places = offsets if kept is None else offsets.take(pa.array(kept, pa.int64()))
    return Part(pa.record_batch(arrays, names=list(columns)), places, misfits)


def divided(
    column: pa.Array, convert: Callable[[pa.Array], pa.Array], form: str | None = None
) -> tuple[pa.Array | None, list[tuple[int, str]]]:
    """The column converted, None where any value of it does not convert; and those values' places, each with why.

    Whether a value converts depends on it alone. form: a regular expression that every text matches which converts;
    those that do not match need not be tried one by one.
    """
    try:
        return convert(column), []
    except pa.ArrowInvalid:
        values, codes = _each(column)
    hopeless = _hopeless(values, convert, form)
    left = [at for at in range(len(values)) if at not in hopeless]
    tried = _halved(values.take(pa.array(left, pa.int64())), convert)
    whys = {**hopeless, **{left[at]: why for at, why in tried}}
    return None, [(at, whys[code]) for at, code in enumerate(codes) if code in whys]


def _each(column: pa.Array) -> tuple[pa.Array, list[int | None]]:
    """Every value once, and which of them each place has; values of a kind that Arrow cannot compare as they stand."""
    try:
        coded = column.dictionary_encode()
    except pa.ArrowNotImplementedError:
        return column, list(range(len(column)))
    return coded.dictionary, coded.indices.to_pylist()


def _hopeless(values: pa.Array, convert: Callable[[pa.Array], pa.Array], form: str | None) -> dict[int, str]:
    """The places of values that do not have the form, each with why: in the words that two of them are refused in."""
    import pyarrow.compute as pc

    try:
        texts = values.cast(pa.string()) if form else None
    except pa.ArrowInvalid:
        return {}
    if texts is None:
        return {}
    places = pc.indices_nonzero(pc.invert(pc.match_substring_regex(texts, form))).to_pylist()
    # Arrow shows some values without the blanks around them.
    said = {at: text for at in places if (text := texts[at].as_py()).strip() == text}
    if len(said) < _FEW:
        return {}
    one, other = min(said), max(said)
    head, found, tail = _refusal(values.slice(one, 1), convert).rpartition(said[one])
    if not found or _refusal(values.slice(other, 1), convert) != f"{head}{said[other]}{tail}":
        return {}
    return {at: f"{head}{text}{tail}".partition("\n")[0] for at, text in said.items()}


def _refusal(value: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> str:
    try:
        convert(value)
    except pa.ArrowInvalid as error:
        return str(error)
    return ""


def _halved(values: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> list[tuple[int, str]]:
    """The places of the values that do not convert, each with why."""
    if not len(values):
        return []
    try:
        convert(values)
    except pa.ArrowInvalid as error:
        if len(values) == 1:
            return [(0, first_line(error))]
    else:
        return []
    half = len(values) // 2
    right = _halved(values.slice(half), convert)
    return [*_halved(values.slice(0, half), convert), *((half + at, why) for at, why in right)]


def strict(parts: Iterator[Part], path: str, columns: Mapping[str, str], refused: Sequence[str]) -> Iterator[Part]:
    """The parts as they are; raises SourceError at the first row that breaks a rule which is refused."""
    for part in parts:
        for misfit in part.misfits:
            if misfit.rule in refused:
                raise unreadable(path, f"Row #{misfit.offset + 1}: {misfit.reason}", columns)
        yield part


def unreadable(path: str, why: str, columns: Mapping[str, str]) -> SourceError:
    """The error for a file whose rows are not as they are declared."""
    return SourceError(
        f"{path} cannot be read as declared: {why}",
        allowed=f"Its columns are {', '.join(f'{name} {kind}' for name, kind in columns.items())}",
        remedy="Mend the file and land it again; nothing of it was taken",
    )


def shown(row: pa.RecordBatch) -> str:
    """One row as a JSON object; bytes that are no text show as such."""
    (values,) = _shown_rows(row)
    return _as_json(values)


def _shown_rows(rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows; moments as texts, where Python has no such year."""
    try:
        return list(rows.to_pylist())
    except (OverflowError, ValueError):
        moments = (pa.types.is_date, pa.types.is_timestamp)
        texts = [it.cast(pa.string()) if any(is_one(it.type) for is_one in moments) else it for it in rows.columns]
        return list(pa.record_batch(texts, names=rows.schema.names).to_pylist())


def _as_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, default=_text, ensure_ascii=False)


def first_line(error: Exception) -> str:
    """What Arrow says, without the rest of its stack."""
    return str(error).partition("\n")[0]


def _joined(done: pa.Array | None, kind: str, convert: Convert, raw: pa.Array, kept: list[int] | None) -> pa.Array:
    if done is not None:
        return done if kept is None else done.take(pa.array(kept, pa.int64()))
    return convert(raw.take(pa.array(kept, pa.int64())), kind)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
