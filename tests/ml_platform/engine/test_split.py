from __future__ import annotations

import polars as pl
import pytest

from ml_platform.engine.split import assign
from ml_platform.errors import AuditError

RANGES = {"train": ("2013-01", "2013-09"), "validate": ("2013-10", "2013-10"), "test": ("2013-11", "2013-12")}


def test_ranges_are_inclusive_and_what_is_outside_is_left_out() -> None:
    months = ["2012-12", "2013-01", "2013-09", "2013-10", "2013-11", "2013-12", "2014-01", None]
    found = assign(pl.DataFrame({"month": months, "n": range(8)}), "month", RANGES)
    assert found.rows() == [
        ("2013-01", 1, "train"),
        ("2013-09", 2, "train"),
        ("2013-10", 3, "validate"),
        ("2013-11", 4, "test"),
        ("2013-12", 5, "test"),
    ]


def test_rows_keep_their_order() -> None:
    found = assign(pl.DataFrame({"month": ["2013-12", "2013-01", "2013-12"], "n": [1, 2, 3]}), "month", RANGES)
    assert found["n"].to_list() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "taken"),
    [("validate", ("2013-09", "2013-10")), ("test", ("2013-10", "2013-12")), ("validate", ("2013-10", "2013-09"))],
    ids=["shares a month", "shares the only month", "ends before it begins"],
)
def test_a_row_is_never_fitted_on_and_tested_on(name: str, taken: tuple[str, str]) -> None:
    with pytest.raises(AuditError, match="is empty or runs into the split"):
        assign(pl.DataFrame({"month": ["2013-01"]}), "month", {**RANGES, name: taken})
