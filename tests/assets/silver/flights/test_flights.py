"""Every scheduled flight with what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

PLANNED, LEFT, LANDED = (datetime(2013, 1, day, tzinfo=UTC) for day in (1, 2, 3))
_FLIGHT = {"flight_id": "2013-01-02.UA.1.EWR", "month": "2013-01"}
_PLAN = _FLIGHT | {"carrier": "UA", "origin": "EWR", "scheduled_departure": LEFT, "known_at": PLANNED}


def test_a_flight_carries_its_departure_and_its_arrival(lake: Any):
    lake.put("silver.flight_plans", _PLAN)
    lake.put("silver.departures", _FLIGHT | {"cancelled": False, "departure_delay_minutes": 4, "known_at": LEFT})
    lake.put("silver.arrivals", _FLIGHT | {"diverted": False, "arrival_delay_minutes": -3, "known_at": LANDED})

    (flight,) = lake.run("silver/flights")

    assert (flight["cancelled"], flight["departure_delay_minutes"], flight["arrival_delay_minutes"]) == (False, 4, -3)
    assert flight["known_at"] == flight["arrival_known_at"] == LANDED
    assert (flight["plan_known_at"], flight["departure_known_at"]) == (PLANNED, LEFT)


def test_a_cancelled_flight_stays_and_is_known_with_its_cancellation(lake: Any):
    lake.put("silver.flight_plans", _PLAN)
    lake.put("silver.departures", _FLIGHT | {"cancelled": True, "known_at": LEFT})

    (flight,) = lake.run("silver/flights")

    assert (flight["cancelled"], flight["diverted"], flight["arrival_delay_minutes"]) == (True, None, None)
    assert flight["known_at"] == LEFT


def test_of_a_flight_that_has_not_left_only_the_plan_is_known(lake: Any):
    (flight,) = lake.put("silver.flight_plans", _PLAN).run("silver/flights")

    assert (flight["cancelled"], flight["departure_known_at"], flight["known_at"]) == (None, None, PLANNED)


def test_what_was_reported_of_another_flight_is_left_to_it(lake: Any):
    other = {"flight_id": "2013-01-02.UA.2.EWR"}
    lake.put("silver.flight_plans", _PLAN, _PLAN | other)
    lake.put("silver.departures", _FLIGHT | other | {"cancelled": True, "known_at": LEFT})

    assert [flight["cancelled"] for flight in lake.run("silver/flights")] == [None, True]
