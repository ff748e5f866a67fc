"""One row for each carrier."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def test_a_row_that_landed_twice_is_one(lake: Any):
    row = {"carrier": "UA", "name": "United", "known_at": datetime(2012, 12, 1, tzinfo=UTC)}

    (found,) = lake.put("bronze.airlines", row, row).run("silver/airlines")

    assert (found["carrier"], found["name"]) == ("UA", "United")
    assert found["known_at"] == datetime(2012, 12, 1, tzinfo=UTC)
