"""Local times as published, made UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

Plans = Callable[[pl.DataFrame], pl.DataFrame]

_ROW = {
    "flight_date": date(2013, 12, 31),
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "dest": "IAH",
    "distance_miles": 1400,
    "scheduled_departure": "2013-12-31 05:15",
    "scheduled_arrival": "0819",
    "event_time": datetime(2013, 11, 1, 4, tzinfo=UTC),
    "known_at": datetime(2013, 11, 1, 4, tzinfo=UTC),
    "month": "2013-12",
    "_source_file": "schedule/2013-12.csv",
    "_source_offset": 0,
}


def schedule(*changes: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([_ROW | change for change in changes])


def test_a_flight_is_named_by_its_natural_key(flight_plans: Plans):
    (plan,) = flight_plans(schedule({})).to_dicts()

    assert plan["flight_id"] == "2013-12-31.UA.1545.EWR"
    assert plan["month"] == "2013-12"
    assert plan["known_at"] == datetime(2013, 11, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2013-03-09 06:00", datetime(2013, 3, 9, 11, tzinfo=UTC)),
        ("2013-03-10 01:59", datetime(2013, 3, 10, 6, 59, tzinfo=UTC)),
        ("2013-03-10 03:00", datetime(2013, 3, 10, 7, tzinfo=UTC)),
        ("2013-11-03 00:59", datetime(2013, 11, 3, 4, 59, tzinfo=UTC)),
        ("2013-11-03 01:30", datetime(2013, 11, 3, 5, 30, tzinfo=UTC)),  # the first of the two
        ("2013-11-03 02:00", datetime(2013, 11, 3, 7, tzinfo=UTC)),
    ],
)
def test_departures_are_utc_with_daylight_saving_honoured(flight_plans: Plans, local: str, utc: datetime):
    (plan,) = flight_plans(schedule({"scheduled_departure": local})).to_dicts()

    assert plan["scheduled_departure"] == utc


def test_a_local_time_that_the_clocks_skip_is_refused(flight_plans: Plans):
    with pytest.raises(pl.exceptions.ComputeError, match="non-existent"):
        flight_plans(schedule({"scheduled_departure": "2013-03-10 02:30"}))


def test_a_plan_published_twice_gives_equal_rows_for_the_engine_to_collapse(flight_plans: Plans):
    first, again = flight_plans(schedule({}, {"_source_file": "schedule/again.csv", "_source_offset": 9})).to_dicts()

    assert first == again


def test_two_different_plans_of_a_flight_stay_two_rows_for_the_audit(flight_plans: Plans):
    assert flight_plans(schedule({}, {"dest": "IAD"}))["dest"].to_list() == ["IAH", "IAD"]
