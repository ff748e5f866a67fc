"""A carrier's month, counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

_NAMED = {"carrier": "UA", "name": "United", "known_at": datetime(2012, 12, 1, tzinfo=UTC)}
_FLIGHT = {"carrier": "UA", "month": "2013-01", "cancelled": False, "diverted": False}
_MONTH = [
    _FLIGHT | {"departure_delay_minutes": 0, "arrival_delay_minutes": -10},
    _FLIGHT | {"departure_delay_minutes": 10, "arrival_delay_minutes": 15},
    _FLIGHT | {"departure_delay_minutes": 50, "arrival_delay_minutes": 40},
    _FLIGHT | {"departure_delay_minutes": 20, "diverted": True},
    {"carrier": "UA", "month": "2013-01", "cancelled": True},
]


def known(flights: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [flight | {"known_at": datetime(2013, 1, day + 1, tzinfo=UTC)} for day, flight in enumerate(flights)]


def test_a_carriers_month_is_counted_and_averaged(lake: Any):
    lake.put("silver.airlines", _NAMED).put("silver.flights", *known(_MONTH))

    (month,) = lake.run("gold/carrier_month")

    counts = {name: month[name] for name in ("flights", "cancelled", "diverted", "arrived")}
    assert counts == {"flights": 5, "cancelled": 1, "diverted": 1, "arrived": 3}
    assert month["carrier_name"] == "United"
    assert month["share_cancelled"] == pytest.approx(1 / 5)
    assert month["share_late"] == pytest.approx(1 / 3)
    assert month["mean_departure_delay_minutes"] == pytest.approx((0 + 10 + 50 + 20) / 4)
    assert month["median_departure_delay_minutes"] == pytest.approx(15)
    assert month["mean_arrival_delay_minutes"] == pytest.approx((-10 + 15 + 40) / 3)
    assert month["median_arrival_delay_minutes"] == pytest.approx(15)


def test_seats_are_of_the_aircraft_that_flew_as_it_was_registered_then(lake: Any):
    published, rebuilt = (datetime(2012, month, 1, tzinfo=UTC) for month in (1, 6))
    lake.put(
        "silver.planes",
        {"tailnum": "N1", "seats": 90, "valid_from": published, "valid_to": rebuilt},
        {"tailnum": "N1", "seats": 100, "valid_from": rebuilt},
        {"tailnum": "N2", "seats": 200, "valid_from": published},
    )
    departure = {"scheduled_departure": datetime(2013, 1, 1, tzinfo=UTC)}
    lake.put("silver.flights", *known([_FLIGHT | departure | {"tailnum": tail} for tail in ("N1", "N2", "N2", "N3")]))

    (month,) = lake.run("gold/carrier_month")

    assert month["flights"] == 4
    assert month["mean_seats"] == pytest.approx((100 + 200 + 200) / 3)


def test_a_month_is_known_when_the_last_of_its_flights_was(lake: Any):
    (month,) = lake.put("silver.airlines", _NAMED).put("silver.flights", *known(_MONTH)).run("gold/carrier_month")

    assert month["known_at"] == datetime(2013, 1, 5, tzinfo=UTC)


def test_months_and_carriers_stand_apart_and_an_unnamed_carrier_stays(lake: Any):
    lake.put("silver.flights", *known([_FLIGHT, _FLIGHT | {"carrier": "ZZ"}, _FLIGHT | {"month": "2013-02"}]))

    found = [(row["month"], row["carrier"], row["flights"]) for row in lake.run("gold/carrier_month")]

    assert sorted(found) == [("2013-01", "UA", 1), ("2013-01", "ZZ", 1), ("2013-02", "UA", 1)]
