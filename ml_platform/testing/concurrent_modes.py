"""Makers in processes of their own, making one table at the same time, in every way that a table is written.

As a program, `python -m ml_platform.testing.concurrent_modes MODE NAME COUNT` is one of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pytest

from ml_platform import binding
from ml_platform.engine import delta
from ml_platform.engine.maintenance import maintain
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import make
from ml_platform.records.table import Location, StagedFiles, View
from ml_platform.records.upkeep import Upkeep
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

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


class ContendedPartitionContract:
    """What a table keeps while somebody else writes to the same partition, maintains it, and reads it.

    Inherit it, and supply a compute service and an empty lakehouse.
    """

    @pytest.fixture
    def compute(self) -> Compute:
        """The service under test."""
        raise NotImplementedError

    @pytest.fixture
    def lakehouse(self) -> Lakehouse:
        """Where its tables are to be."""
        raise NotImplementedError

    @pytest.mark.parametrize("mode", list(SHAPES))
    def test_who_comes_second_tries_again_and_says_so_and_who_reads_sees_one_version(
        self, mode: str, lakehouse: Lakehouse, compute: Compute, caplog: pytest.LogCaptureFixture
    ) -> None:
        # given a table, a maker that has staged its row, and before it commits another one, and maintenance
        operate(mode, "first", 0, lakehouse, compute)
        location = lakehouse.table(TABLE)
        read: list[StagedFiles] = []
        seen: list[Any] = []

        def meanwhile() -> None:
            read.append(delta.existing(location))
            assert _makers(read[0]) == ["first"]
            operate(mode, "second", 0, lakehouse, compute)
            seen.append(_makers(delta.existing(location)))
            seen.append(maintain(Upkeep(TABLE, 0), lakehouse, compute, []).partitions)

        retries = operate(mode, "third", 0, lakehouse, Interrupted(compute, meanwhile))
        # then it made its rows again, on what stood by then
        assert retries == 1
        assert f"{TABLE} was committed to by somebody else" in caplog.text
        assert "It is tried again, for the 1. time." in caplog.text
        every = ["first", "second", "third"]
        assert seen[0] == (["second"] if mode == "overwrite" else every[:2])
        assert _makers(delta.existing(location)) == (["third"] if mode == "overwrite" else every)
        if mode == "append":
            assert list(seen[1]) == [MONTH]
        # and who had opened the table before still reads what it held
        assert _makers(read[0]) == ["first"]


class Interrupted:
    """A compute service that lets something happen once it has first staged the table's own rows."""

    def __init__(self, compute: Compute, meanwhile: Callable[[], None]) -> None:
        self._compute = compute
        self._meanwhile: list[Callable[[], None]] = [meanwhile]

    def stage(
        self, query: str, inputs: Mapping[str, StagedFiles | View], target: Location, partition_by: tuple[str, ...]
    ) -> StagedFiles:
        """As the role promises."""
        staged = self._compute.stage(query, inputs, target, partition_by)
        if target.key == TABLE and self._meanwhile:
            self._meanwhile.pop()()
        return staged

    def fetch(self, query: str, inputs: Mapping[str, StagedFiles | View]) -> pa.Table:
        """As the role promises."""
        return self._compute.fetch(query, inputs)


def _makers(of: StagedFiles) -> list[Any]:
    return sorted(delta.read_rows(of)["maker"].to_pylist())


def operate(
    mode: str, maker: str, number: int, lakehouse: Lakehouse | None = None, compute: Compute | None = None
) -> int:
    """One row of this maker came through the table's query; how often it was tried again.

    lakehouse, compute: those of the environment without them.
    """
    lakehouse, key = lakehouse or binding.service("lakehouse"), f"bronze/{maker}"
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
    return make(recipe, partitions, partitions, lakehouse, compute or binding.service("compute")).retries


if __name__ == "__main__":
    print(sum(operate(sys.argv[1], sys.argv[2], number) for number in range(int(sys.argv[3]))))
