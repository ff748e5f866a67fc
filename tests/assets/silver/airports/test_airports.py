"""One row for each airport."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def test_a_row_that_landed_twice_is_one(lake: Any):
    row = {"faa": "EWR", "tzone": "America/New_York", "known_at": datetime(2012, 12, 1, tzinfo=UTC)}

    (found,) = lake.put("bronze.airports", row, row).run("silver/airports")

    assert (found["airport"], found["time_zone"]) == ("EWR", "America/New_York")
    assert found["known_at"] == datetime(2012, 12, 1, tzinfo=UTC)
