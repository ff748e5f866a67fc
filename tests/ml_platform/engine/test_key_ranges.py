from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.key_ranges import clusters, overlapping, place
from ml_platform.engine.plan import Shape
from ml_platform.engine.staging import stage
from ml_platform.records.table import TableSnapshot
from resources.embedded.lakehouse import EmbeddedLakehouse


@pytest.fixture
def filled(lakehouse: EmbeddedLakehouse) -> Any:
    def filled(*files: tuple[Any, ...], month: str | None = None) -> TableSnapshot:
        location = lakehouse.table("silver/x")
        for keys in files:
            rows = pa.table({"id": list(keys), **({"month": [month] * len(keys)} if month else {})})
            staged = stage(rows.to_batches(), rows.schema, location, ("month",) if month else ())
            delta.commit(staged, read=delta.snapshot(location), replaced=(), transactions={}, evidence={})
        return delta.existing(location)

    return filled


def test_files_whose_ranges_overlap_stand_together(filled: Any) -> None:
    found = clusters(filled((1, 5), (10, 20), (4, 7), (30, 31)), Shape(key=("id",)))
    assert [(c.low, c.high, len(c.files)) for c in found] == [(1, 7, 2), (10, 20, 1), (30, 31, 1)]


def test_only_clusters_that_can_hold_a_key_are_left(filled: Any) -> None:
    found = clusters(filled((1, 5), (10, 20), (30, 31)), Shape(key=("id",)))
    assert [c.low for c in overlapping(found, {"": (6, 9)})] == []
    assert [c.low for c in overlapping(found, {"": (5, 10)})] == [1, 10]
    assert [c.low for c in overlapping(found, {"other": (1, 99)})] == []
    assert [c.low for c in overlapping(found, {"": (None, None)})] == [1, 10, 30]


def test_without_exact_bounds_a_partition_is_one_cluster(filled: Any) -> None:
    found = clusters(filled((1.5, 2.5), (8.5, 9.5)), Shape(key=("id",)))
    assert [(c.low, len(c.files)) for c in found] == [(None, 2)]


@pytest.mark.parametrize(
    "keys", [(1, 10, 20), ("a", "k", "o'x"), (date(2013, 1, 1), date(2013, 2, 1), date(2013, 3, 1))]
)
def test_place_of_a_row_is_that_of_its_files_range(filled: Any, keys: tuple[Any, ...]) -> None:
    shape = Shape(key=("id",), partition="month")
    found = clusters(filled(*((key,) for key in keys), month="2013-01"), shape)
    rows = pa.table({"id": list(keys), "month": ["2013-01"] * 3})
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        query = f"SELECT {place(shape, found, 'r')} FROM rows AS r ORDER BY id"
        assert [row[0] for row in connection.execute(query).fetchall()] == [0, 1, 2]
