"""The queue of flights that are due to leave, counted by hand and by brute force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

VIEW = "features/origin_queue_v1"
START = datetime(2013, 5, 1, 12, tzinfo=UTC)


def flight(due: int, left: int | None, **changes: Any) -> dict[str, Any]:
    """due, left: minutes after START."""
    known = None if left is None else START + timedelta(minutes=left)
    times = {"scheduled_departure": START + timedelta(minutes=due), "departure_known_at": known}
    return {"origin": "EWR", "month": "2013-05", "cancelled": False} | times | changes


def queue(rows: list[dict[str, Any]]) -> dict[int, int]:
    """Minutes after START → length of the queue."""
    return {(row["known_at"] - START) // timedelta(minutes=1): row["origin_queue_flights"] for row in rows}


def test_a_late_flight_waits_from_its_schedule_to_its_departure(lake: Any):
    lake.put("silver.flights", flight(0, 30), flight(10, 20))

    assert queue(lake.run(VIEW)) == {0: 1, 10: 2, 20: 1, 30: 0}


def test_flights_that_leave_in_time_or_are_cancelled_never_wait(lake: Any):
    lake.put("silver.flights", flight(0, 0), flight(10, 5), flight(15, 15, cancelled=True), flight(20, 25))

    assert queue(lake.run(VIEW)) == {20: 1, 25: 0}


def test_nobody_waits_for_more_than_twelve_hours(lake: Any):
    lake.put("silver.flights", flight(0, 900), flight(890, 900))

    assert queue(lake.run(VIEW)) == {0: 1, 720: 0, 890: 1, 900: 0}


def test_after_the_last_reported_departure_nothing_is_said(lake: Any):
    lake.put("silver.flights", flight(0, None), flight(5, 10), flight(11, None))

    assert queue(lake.run(VIEW)) == {0: 1, 5: 2, 10: 1}


def test_steps_of_two_months_in_the_same_minute_share_a_row(lake: Any):
    lake.put("silver.flights", flight(0, 30), flight(30, 40, month="2013-06"))

    assert [(row["month"], row["origin_queue_flights"]) for row in lake.run(VIEW)] == [
        ("2013-05", 1),
        ("2013-05", 1),
        ("2013-06", 0),
    ]


def test_every_row_counts_who_waited_then(lake: Any, some_flights: list[dict[str, Any]]):
    rows = lake.put("silver.flights", *some_flights).run(VIEW)

    assert len(rows) > 50
    for row in rows:
        at = row["known_at"]
        waiting = [
            flight
            for flight in some_flights
            if flight["origin"] == row["origin"]
            and flight["scheduled_departure"] <= at < flight["scheduled_departure"] + timedelta(hours=12)
            and not flight["departure_known_at"] <= at
        ]
        assert row["origin_queue_flights"] == len(waiting)


def test_what_becomes_known_later_changes_no_row(assert_no_lookahead: Callable[[str], None]):
    assert_no_lookahead(VIEW)
