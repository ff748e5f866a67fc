from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from ml_platform.engine.split import assign
from ml_platform.errors import AuditError
from ml_platform.records.split import HashSplit, TimeSplit

RANGES = {"train": ("2013-01", "2013-09"), "validate": ("2013-10", "2013-10"), "test": ("2013-11", "2013-12")}


def test_ranges_are_inclusive_and_what_is_outside_is_left_out() -> None:
    months = ["2012-12", "2013-01", "2013-09", "2013-10", "2013-11", "2013-12", "2014-01", None]
    found = assign(pl.DataFrame({"month": months, "n": range(8)}), TimeSplit("month", RANGES))
    assert found.rows() == [
        ("2013-01", 1, "train"),
        ("2013-09", 2, "train"),
        ("2013-10", 3, "validate"),
        ("2013-11", 4, "test"),
        ("2013-12", 5, "test"),
    ]


def test_rows_keep_their_order() -> None:
    found = assign(
        pl.DataFrame({"month": ["2013-12", "2013-01", "2013-12"], "n": [1, 2, 3]}), TimeSplit("month", RANGES)
    )
    assert found["n"].to_list() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "taken"),
    [("validate", ("2013-09", "2013-10")), ("test", ("2013-10", "2013-12")), ("validate", ("2013-10", "2013-09"))],
    ids=["shares a month", "shares the only month", "ends before it begins"],
)
def test_a_row_is_never_fitted_on_and_tested_on(name: str, taken: tuple[str, str]) -> None:
    with pytest.raises(AuditError, match="is empty or runs into the split"):
        assign(pl.DataFrame({"month": ["2013-01"]}), TimeSplit("month", {**RANGES, name: taken}))


def test_a_timestamp_is_split_by_months_days_or_moments_to_their_end() -> None:
    ranges = {
        "train": ("2013-01", "2013-01"),
        "validate": ("2013-02-01", "2013-02-02"),
        "test": ("2013-02-03T12:00", "2014"),
    }
    at = ["2013-01-01", "2013-01-31T23:59:59.999999", "2013-02-02T23:00", "2013-02-03T11:59", "2013-02-03T12:00"]
    rows = pl.DataFrame({"at": at}).select(pl.col("at").map_elements(datetime.fromisoformat, pl.Datetime("us")))
    with pytest.raises(AuditError, match="these are not its months, days or moments"):
        assign(rows, TimeSplit("at", ranges), "at")
    named = {**ranges, "test": ("2013-02-03T12:00", "2013-12")}
    rows = rows.with_columns(pl.col("at").dt.replace_time_zone("UTC"))
    assert assign(rows, TimeSplit("at", named), "at")["split"].to_list() == ["train", "train", "validate", "test"]


def test_shares_that_are_not_the_whole_are_refused() -> None:
    with pytest.raises(AuditError, match="together they are not the whole"):
        assign(pl.DataFrame({"k": ["a"]}), HashSplit(("k",), {"train": 0.5, "validate": 0.2, "test": 0.2}))


def test_a_hash_divides_values_by_their_shares_whatever_comes_beside_them() -> None:
    split = HashSplit(("k", "n"), {"train": 0.6, "validate": 0.2, "test": 0.2})
    rows = pl.DataFrame({"k": ["a", None] * 1000, "n": [number // 2 for number in range(2000)]})
    found = assign(rows, split)
    assert found.drop("split").equals(rows)
    shares = {name: of.height / 2000 for (name,), of in found.group_by("split")}
    # four standard deviations of 2000 draws are 0.044
    assert shares == pytest.approx(split.shares, abs=0.044)
    assert assign(rows.reverse(), split).reverse().equals(found)
