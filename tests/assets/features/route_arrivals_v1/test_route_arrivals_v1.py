"""How late a route's flights landed in seven days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import Any

import pytest

VIEW = "features/route_arrivals_v1"
HOURS = 168
START = datetime(2013, 5, 1, 12, tzinfo=UTC)
_FLIGHT = {"origin": "EWR", "dest": "IAH", "month": "2013-05"}


def flight(at: datetime, delay: int | None, **changes: Any) -> dict[str, Any]:
    return _FLIGHT | {"arrival_known_at": at, "arrival_delay_minutes": delay} | changes


def test_a_row_tells_of_the_window_that_ends_with_it(lake: Any):
    middle, end = START + timedelta(hours=HOURS) / 2, START + timedelta(hours=HOURS)
    lake.put("silver.flights", flight(START, 0), flight(middle, 16), flight(end, 50))
    lake.put("silver.flights", flight(end + timedelta(minutes=1), 10))

    _, _, third, behind, fourth, *_ = lake.run(VIEW)

    # The window holds the moment at its far end, and an instant later holds it no more.
    assert third["route_arrivals_mean_delay_minutes"] == pytest.approx((0 + 16 + 50) / 3)
    assert third["route_arrivals_share_late"] == pytest.approx(2 / 3)
    assert third["route_arrivals_count"] == 3
    assert behind["route_arrivals_mean_delay_minutes"] == pytest.approx((16 + 50) / 2)
    assert behind["event_time"] == end + timedelta(microseconds=1)
    assert fourth["route_arrivals_mean_delay_minutes"] == pytest.approx((16 + 50 + 10) / 3)
    assert fourth["route_arrivals_share_late"] == pytest.approx(2 / 3)
    assert fourth["route_arrivals_count"] == 3
    assert third["event_time"] == third["known_at"] == end


def test_diverted_flights_are_left_out_and_others_stand_apart(lake: Any):
    lake.put("silver.flights", flight(START, 30), flight(START, None, diverted=True))
    lake.put("silver.flights", flight(START, 90, dest="MIA"))

    found = {
        row["dest"]: row["route_arrivals_mean_delay_minutes"] for row in lake.run(VIEW) if row["known_at"] == START
    }

    assert found == {"IAH": 30, "MIA": 90}


def test_flights_of_two_months_known_in_the_same_minute_share_a_row(lake: Any):
    lake.put("silver.flights", flight(START, 0), flight(START, 20, month="2013-06"))

    row, *_ = lake.run(VIEW)

    assert (row["month"], row["route_arrivals_mean_delay_minutes"]) == ("2013-05", 10)


def test_every_row_follows_from_what_was_known_by_then(assert_windows: Callable[..., None]):
    expected = {
        "route_arrivals_mean_delay_minutes": mean,
        "route_arrivals_share_late": lambda delays: mean(delay > 15 for delay in delays),
        "route_arrivals_count": len,
    }

    assert_windows(VIEW, ("origin", "dest"), "arrival", HOURS, expected, leaving=True)


def test_what_becomes_known_later_changes_no_row(assert_no_lookahead: Callable[[str], None]):
    assert_no_lookahead(VIEW)
