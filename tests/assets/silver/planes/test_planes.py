"""One row for each tail number."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def test_a_row_that_landed_twice_is_one(lake: Any):
    row = {"tailnum": "N10156", "year": 2004, "known_at": datetime(2012, 12, 1, tzinfo=UTC)}

    (found,) = lake.put("bronze.planes", row, row).run("silver/planes")

    assert (found["tailnum"], found["built_in_year"]) == ("N10156", 2004)
    assert found["known_at"] == datetime(2012, 12, 1, tzinfo=UTC)
