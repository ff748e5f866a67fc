from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine.held import beyond, holds

_DAY = 24 * 3600 * 10**6


def days(*values: int | None) -> pa.Array:
    return pa.array(values, pa.int32()).view(pa.date32())


def moments(*values: int | None) -> pa.Array:
    return pa.array(values, pa.int64()).view(pa.timestamp("us", "UTC"))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([date.min, None, date.max]),
        pa.array([datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
        pa.array([datetime.min, datetime.max], pa.timestamp("us")),
        pa.array([Decimal("999.99"), Decimal("-999.99"), None], pa.decimal128(5, 2)),
        pa.array([Decimal("9" * 38), Decimal("-" + "9" * 38)], pa.decimal128(38, 0)),
        pa.array([1.5, float("nan"), None]),
        pa.array([], pa.date32()),
        pa.array([None], pa.decimal128(5, 2)),
        pa.array(["x"]),
    ],
    ids=lambda column: f"{column.type} of {len(column)}",
)
def test_what_a_type_holds_is_not_beyond_it(column: pa.Array) -> None:
    assert holds(column)
    assert beyond(column).to_pylist() == []


@pytest.mark.parametrize(
    ("column", "places"),
    [
        (days(0, -719_163, None, 2_932_897, 2**31 - 1, -(2**31)), [1, 3, 4, 5]),
        (moments(0, -719_162 * _DAY - 1, None, 2_932_897 * _DAY, 2**63 - 1), [1, 3, 4]),
        (pa.array([1.5, float("inf"), float("nan"), float("-inf")]), [1, 3]),
    ],
    ids=["date", "timestamp", "float64"],
)
def test_what_a_type_does_not_hold_is_beyond_it(column: pa.Array, places: list[Any]) -> None:
    assert not holds(column)
    assert beyond(column).to_pylist() == places


def test_a_part_of_a_column_is_judged_alone() -> None:
    column = days(2**31 - 1, 0, 2**31 - 1)
    assert holds(column.slice(1, 1))
    assert beyond(column.slice(1)).to_pylist() == [1]
