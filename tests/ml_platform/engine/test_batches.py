from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from ml_platform.engine.batches import behind, beside, by_partition, evenly


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
    assert pa.concat_tables(even)["n"].to_pylist() == list(range(10))


@pytest.mark.parametrize(
    "months",
    [["b", "b", "b", "a", None], ["b", "a", "b", "b", None], ["b", "b", "b", "b", "a"]],
    ids=["together", "scattered", "nearly one"],
)
def test_a_batch_is_divided_in_the_order_of_first_rows(months: list[str | None]) -> None:
    batch = pa.Table.from_pydict({"n": range(7), "month": [None, *months, "b"]}).slice(1, 5)

    parts = [(names, part.to_pydict()) for names, part in by_partition(batch, ("month",))]

    kept = dict.fromkeys(months)
    assert parts == [((month or "",), {"n": [n for n, of in enumerate(months, 1) if of == month]}) for month in kept]


def test_a_batch_is_divided_by_two_columns() -> None:
    batch = pa.Table.from_pydict({"n": range(4), "year": [1, 1, 2, 1], "month": ["a", "b", "a", "a"]})

    parts = [(names, part["n"].to_pylist()) for names, part in by_partition(batch, ("year", "month"))]

    assert parts == [(("1", "a"), [0, 3]), (("1", "b"), [1]), (("2", "a"), [2])]


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


def test_what_is_made_beside_each_other_comes_in_order() -> None:
    assert beside(lambda number: number * 2, range(20)) == [number * 2 for number in range(20)]
    assert beside(str, []) == []


def test_runs_of_one_partition_go_on_over_the_parts_of_a_batch() -> None:
    parts = [pa.table({"n": [0, 1], "month": ["a", "b"]}), pa.table({"n": [2, 3, 4], "month": ["b", "b", "c"]})]

    divided = [(names, part["n"].to_pylist()) for names, part in by_partition(pa.concat_tables(parts), ("month",))]

    assert divided == [(("a",), [0]), (("b",), [1, 2, 3]), (("c",), [4])]
