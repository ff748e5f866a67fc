"""Makers in processes of their own, making one table at the same time, in every way that a table is written.

As a program, `python -m ml_platform.testing.concurrent_modes MODE NAME COUNT` is one of them.
"""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest

from ml_platform import binding
from ml_platform.engine import delta
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import make

TABLE = "silver/contended"
MAKERS = 4
OPERATIONS = 8
MONTH = "2013-01"
SHAPES = {
    "append": Shape(partition="month", write="append"),
    "overwrite": Shape(key=("id",), partition="month"),
    "merge": Shape(key=("id",), partition="month", write="merge", newest="number"),
    "history": Shape(key=("id",), write="history", newest="number"),
}


class ConcurrentModesContract:
    """What a table keeps while several make it. Inherit it; the environment names a lakehouse that holds nothing."""

    @pytest.mark.parametrize("mode", list(SHAPES))
    def test_of_32_operations_from_four_processes_none_is_lost_and_none_is_doubled(self, mode: str) -> None:
        command = [sys.executable, "-P", "-m", __name__, mode]
        names = [f"maker_{number}" for number in range(MAKERS)]
        makers = [
            subprocess.Popen(
                [*command, name, str(OPERATIONS)], start_new_session=True, stdout=subprocess.PIPE, text=True
            )
            for name in names
        ]
        try:
            retries = [int(maker.communicate(timeout=240)[0]) for maker in makers]
        finally:
            for maker in makers:
                maker.kill()
                maker.wait()
        assert [maker.returncode for maker in makers] == [0] * MAKERS
        assert sum(retries) > 0

        location = binding.service("lakehouse").table(TABLE)
        table = delta.existing(location)
        assert table.version == MAKERS * OPERATIONS - 1
        rows = delta.read_rows(table).to_pylist()
        every = [(name, number) for name in names for number in range(OPERATIONS)]
        if mode == "overwrite":
            versions = [delta.read_rows(found) for n in range(32) if (found := delta.snapshot(location, n))]
            assert sorted((row["maker"], row["number"]) for of in versions for row in of.to_pylist()) == every
        elif mode == "history":
            assert sorted((row["maker"], row["valid_from"]) for row in rows) == every
            assert sum(row["is_current"] for row in rows) == MAKERS
        else:
            assert sorted((row["maker"], row["number"]) for row in rows) == every


def operate(mode: str, maker: str, number: int) -> int:
    """One row of this maker came through the table's query; how often it was tried again."""
    lakehouse, key = binding.service("lakehouse"), f"bronze/{maker}"
    location = lakehouse.table(key)
    row = pa.table({"id": [f"{maker}-{number}"], "maker": [maker], "number": [number], "month": [MONTH]})
    if mode == "history":
        row = row.set_column(0, "id", pa.array([maker]))
    staged = stage(row.to_batches(), row.schema, location, ("month",))
    before = delta.snapshot(location)
    replaced = before.files if before and mode == "overwrite" else ()
    delta.commit(staged, read=before, replaced=replaced, transactions={}, evidence={})
    recipe = Recipe(TABLE, (key,), SHAPES[mode], maker, f"SELECT *, number AS value FROM bronze.{maker}")
    partitions = [MONTH] if SHAPES[mode].partition else [""]
    return make(recipe, partitions, partitions, lakehouse, binding.service("compute")).retries


if __name__ == "__main__":
    print(sum(operate(sys.argv[1], sys.argv[2], number) for number in range(int(sys.argv[3]))))
