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


def fitted(raw: pa.RecordBatch, offsets: pa.Array, columns: Mapping[str, str], convert: Convert) -> Part:
    """The rows of which every field fits, converted, and the others as misfits.

    raw: the columns by name, as they came. convert: makes a column of a declared type, or raises ArrowInvalid.
    """
    done: dict[str, pa.Array] = {}
    faults: dict[int, list[str]] = {}
    for name, kind in columns.items():
        pieces, bad = divided(raw[name], lambda piece, kind=kind: convert(piece, kind))  # type: ignore[misc]
        done[name] = pieces
        for at, why in bad:
            faults.setdefault(at, []).append(f"{name}: {why}")
    kept = [at for at in range(raw.num_rows) if at not in faults] if faults else None
    misfits = tuple(
        Misfit(offsets[at].as_py(), TYPE, "; ".join(faults[at]), shown(raw.slice(at, 1))) for at in sorted(faults)
    )
    arrays = [_joined(done[name], kind, convert, raw[name], kept) for name, kind in columns.items()]
    places = offsets if kept is None else offsets.take(pa.array(kept, pa.int64()))
    return Part(pa.record_batch(arrays, names=list(columns)), places, misfits)


def divided(column: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> tuple[pa.Array | None, list[tuple[int, str]]]:
    """The column converted, None where any value of it does not convert; and those values' places, each with why."""
    try:
        return convert(column), []
    except pa.ArrowInvalid as error:
        if len(column) == 1:
            return None, [(0, first_line(error))]
    half = len(column) // 2
    _, left = divided(column.slice(0, half), convert)
    _, right = divided(column.slice(half), convert)
    return None, [*left, *((half + at, why) for at, why in right)]


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
    (values,) = row.to_pylist()
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
