from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from ml_platform.engine.batches import behind, evenly


def batches(*sizes: int) -> Iterator[pa.RecordBatch]:
    """Batches of these sizes, their rows counted through."""
    first = 0
    for size in sizes:
        yield pa.RecordBatch.from_pydict({"n": range(first, first + size)})
        first += size


@pytest.mark.parametrize("sizes", [(10,), (1,) * 10, (0, 3, 0, 7), (4, 4, 2), (9, 1)])
def test_rows_come_in_order_in_batches_of_one_size_however_they_came(sizes: tuple[int, ...]) -> None:
    even = list(evenly(batches(*sizes), 4))

    assert [batch.num_rows for batch in even] == [4, 4, 2]
    assert pa.Table.from_batches(even)["n"].to_pylist() == list(range(10))


def test_no_rows_are_no_batch() -> None:
    assert list(evenly(batches(0, 0), 4)) == []


def test_every_batch_is_written_in_order_and_few_wait() -> None:
    made: list[int] = []
    written: list[int] = []
    ahead: list[int] = []

    def counted() -> Iterator[pa.RecordBatch]:
        for batch in batches(*[1] * 50):
            made.append(batch["n"][0].as_py())
            ahead.append(len(made) - len(written))
            yield batch

    behind(lambda batch: written.append(batch["n"][0].as_py()), counted())

    assert written == made == list(range(50))
    assert max(ahead) <= 4


def test_a_fault_of_the_writer_is_that_of_whoever_waits_for_it() -> None:
    def full(batch: pa.RecordBatch) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        behind(full, batches(*[1] * 50))
