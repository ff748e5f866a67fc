"""Batches of rows on their way: cut evenly, and written while the next ones are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

_AHEAD = 2


def evenly(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `size` rows, the last one of fewer, so that nothing depends on how they came."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while batch.num_rows:
            part = batch.slice(0, size - rows)
            batch = batch.slice(part.num_rows)
            waiting.append(part)
            rows += part.num_rows
            if rows == size:
                yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)
                waiting, rows = [], 0
    if waiting:
        yield pa.concat_batches(waiting)


def behind(write: Callable[[pa.RecordBatch], None], batches: Iterable[pa.RecordBatch]) -> None:
    """Every batch is written, in order, while the next ones are made; of those that wait there are few at any time."""
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1) as writing:
        for batch in batches:
            waiting.append(writing.submit(write, batch))
            if len(waiting) > _AHEAD:
                waiting.popleft().result()
        for written in waiting:
            written.result()
