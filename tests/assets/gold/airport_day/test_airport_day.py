"""An airport's day, counted by hand, with the weather of its New York day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

_FLIGHT = {
    "origin": "EWR",
    "flight_date": date(2013, 1, 1),
    "month": "2013-01",
    "cancelled": False,
    "known_at": datetime(2013, 1, 1, 20, tzinfo=UTC),
}


def observed(at: datetime, **values: float) -> dict[str, Any]:
    return {"origin": "EWR", "observed_at": at, "known_at": at, "month": "2013-01"} | values


def test_an_airports_day_is_counted_and_averaged(lake: Any):
    lake.put(
        "silver.flights",
        _FLIGHT | {"departure_delay_minutes": 5, "arrival_delay_minutes": 20},
        _FLIGHT | {"departure_delay_minutes": 16, "arrival_delay_minutes": 10},
        _FLIGHT | {"departure_delay_minutes": 30, "arrival_delay_minutes": 30},
        _FLIGHT | {"cancelled": True},
    )

    (day,) = lake.run("gold/airport_day")

    assert (day["flights"], day["departed"], day["cancelled"]) == (4, 3, 1)
    assert day["share_cancelled"] == pytest.approx(1 / 4)
    assert day["share_departed_late"] == pytest.approx(2 / 3)
    assert day["share_arrived_late"] == pytest.approx(2 / 3)
    assert day["mean_departure_delay_minutes"] == pytest.approx(17)
    assert day["median_departure_delay_minutes"] == pytest.approx(16)
    assert day["weather_observations"] is None


def test_weather_is_that_of_the_new_york_day(lake: Any):
    lake.put("silver.flights", _FLIGHT).put("silver.airports", {"airport": "EWR", "name": "Newark Liberty Intl"})
    lake.put(
        "silver.weather",
        observed(datetime(2013, 1, 1, 4, tzinfo=UTC), temperature_f=1, precipitation_inches=9.0),  # still 31 December
        observed(datetime(2013, 1, 1, 5, tzinfo=UTC), temperature_f=30, precipitation_inches=0.1, wind_speed_mph=5),
        observed(datetime(2013, 1, 2, 4, tzinfo=UTC), temperature_f=20, precipitation_inches=0.2, visibility_miles=3),
    )

    (day,) = lake.run("gold/airport_day")

    assert (day["airport_name"], day["weather_observations"]) == ("Newark Liberty Intl", 2)
    assert (day["lowest_temperature_f"], day["highest_temperature_f"]) == (20, 30)
    assert (day["highest_wind_speed_mph"], day["lowest_visibility_miles"]) == (5, 3)
    assert day["precipitation_inches"] == pytest.approx(0.3)
    assert day["known_at"] == datetime(2013, 1, 2, 4, tzinfo=UTC)
