"""Batches of rows on their way: cut evenly, divided by partition, and written while the next ones are made."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

_AHEAD = 2
_T = TypeVar("_T")
_Made = TypeVar("_Made")


def evenly(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of `size` rows, the last one of fewer, so that nothing depends on how they came.

    Nothing is copied: a table holds the parts that it came in.
    """
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while batch.num_rows:
            part = batch.slice(0, size - rows)
            batch = batch.slice(part.num_rows)
            waiting.append(part)
            rows += part.num_rows
            if rows == size:
                yield pa.Table.from_batches(waiting)
                waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def behind(write: Callable[[pa.Table], None], batches: Iterable[pa.Table]) -> None:
    """Every batch is written, in order, while the next ones are made; of those that wait there are few at any time."""
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1) as writing:
        for batch in batches:
            waiting.append(writing.submit(write, batch))
            if len(waiting) > _AHEAD:
                waiting.popleft().result()
        for written in waiting:
            written.result()


def beside(make: Callable[[_T], _Made], things: Collection[_T]) -> list[_Made]:
    """What is made of each thing, in their order, as many at a time as there are cores."""
    with ThreadPoolExecutor(max_workers=max(1, min(len(things), os.cpu_count() or 1))) as making:
        return list(making.map(make, things))


def by_partition(batch: pa.Table, by: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """The rows by partition, in the order of first rows; a NULL becomes an empty text, which is no partition."""
    if not by:
        yield (), batch
        return
    rows = batch.drop_columns(list(by))
    if len(by) == 1 and (runs := _runs(batch[by[0]])) is not None:
        for value, start, length in runs:
            part = rows.slice(start, length)
            # A part of a batch holds all of it in memory.
            yield _names((value,)), part if 2 * length >= batch.num_rows else _copied(part)
        return
    keys = batch.select(list(by)).group_by(list(by), use_threads=False).aggregate([])
    for row in keys.to_pylist():
        chosen = batch
        for column in by:
            match = pc.is_null(chosen[column]) if row[column] is None else pc.equal(chosen[column], row[column])
            chosen = chosen.filter(match)
        yield _names(row[c] for c in by), chosen.drop_columns(list(by))


def _copied(part: pa.Table) -> pa.Table:
    """The same rows in memory of their own."""
    return pa.concat_tables([part, part.schema.empty_table()]).combine_chunks()


def _names(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in values)


def _runs(column: pa.ChunkedArray) -> list[tuple[Any, int, int]] | None:
    """Value, start and length where rows of one partition stand together, as in what is sorted; None where not."""
    values: list[Any] = []
    ends: list[int] = []
    for chunk in column.chunks:
        runs, before = pc.run_end_encode(chunk), ends[-1] if ends else 0
        for value, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            if values and values[-1] == value:
                ends[-1] = before + end
            else:
                values.append(value)
                ends.append(before + end)
    if len(set(values)) < len(values):
        return None
    return [(value, start, end - start) for value, start, end in zip(values, [0, *ends], ends, strict=False)]
