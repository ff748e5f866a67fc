from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_platform.engine.file_statistics import rows_in, statistics
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location


def of(table: pa.Table, group_rows: int = 2) -> dict[str, Any]:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, row_group_size=group_rows)
    found: dict[str, Any] = json.loads(statistics(pq.ParquetFile(pa.BufferReader(buffer.getvalue())).metadata))
    return found


@pytest.mark.parametrize(
    ("values", "kind", "low", "high"),
    [
        ([5, -2, 9, None, 3], pa.int32(), -2, 9),
        ([2**62, 1, None, 7, 0], pa.int64(), 0, 2**62),
        ([0.5, -0.25, None, 1e300, 3.0], pa.float64(), -0.25, 1e300),
        (["b", "é", None, "", "a"], pa.string(), "", "é"),
        ([date(2013, 3, 1), None, date(2012, 1, 31)], pa.date32(), "2012-01-31", "2013-03-01"),
        (
            [datetime(2013, 1, 1, 5, tzinfo=UTC), None, datetime(2013, 1, 1, 4, 59, 59, 1, tzinfo=UTC)],
            pa.timestamp("us", "UTC"),
            "2013-01-01T04:59:59.000001Z",
            "2013-01-01T05:00:00.000000Z",
        ),
        (
            [datetime(2013, 1, 1), None, datetime(2012, 1, 1)],
            pa.timestamp("us"),
            "2012-01-01T00:00:00.000000",
            "2013-01-01T00:00:00.000000",
        ),
    ],
)
def test_bounds_and_nulls_are_those_of_all_rows(values: list[Any], kind: pa.DataType, low: Any, high: Any) -> None:
    found = of(pa.table({"c": pa.array(values, kind)}))
    assert found == {
        "numRecords": len(values),
        "minValues": {"c": low},
        "maxValues": {"c": high},
        "nullCount": {"c": 1},
    }


@pytest.mark.parametrize(
    "column",
    [
        pa.array([None, None], pa.int64()),
        pa.array([True, None]),
        pa.array([Decimal("1.5"), None]),
        pa.array([b"x", None]),
        pa.array(["x" * 65, None]),
        pa.array([float("inf"), None]),
    ],
    ids=["all null", "boolean", "decimal", "bytes", "long", "infinite"],
)
def test_what_json_cannot_hold_exactly_has_no_bounds(column: pa.Array) -> None:
    assert of(pa.table({"c": column})) == {
        "numRecords": 2,
        "minValues": {},
        "maxValues": {},
        "nullCount": {"c": column.null_count},
    }


def test_a_row_group_of_nulls_does_not_hide_the_others() -> None:
    found = of(pa.table({"c": [None, None, 4, 6]}))
    assert (found["minValues"], found["maxValues"], found["nullCount"]) == ({"c": 4}, {"c": 6}, {"c": 2})


def test_a_row_group_without_exact_bounds_hides_all() -> None:
    assert of(pa.table({"c": ["a", "b", "x" * 65, "c"]}))["maxValues"] == {}


def test_a_nested_column_does_not_pass_for_another_of_its_name() -> None:
    found = of(pa.table({"n": [1, 2], "struct": [{"n": 90}, {"n": 91}], "list": [[7], [8]]}))
    assert found == {"numRecords": 2, "minValues": {"n": 1}, "maxValues": {"n": 2}, "nullCount": {"n": 0}}


def test_rows_are_counted_in_a_file_or_it_is_told_which_cannot_be_read(tmp_path: Path) -> None:
    location = Location("silver/x", str(tmp_path))
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "a.parquet")
    assert rows_in(location, "a.parquet") == 2
    (tmp_path / "b.parquet").write_bytes(b"no rows")
    for name in ("b.parquet", "c.parquet"):
        with pytest.raises(ServiceError, match=f"{name} of silver/x cannot be read, but its rows are only counted in"):
            rows_in(location, name)
