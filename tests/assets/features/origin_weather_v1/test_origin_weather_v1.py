"""The weather at an origin, as observed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def test_an_observation_is_a_row_known_when_it_was_reported(lake: Any):
    observed, reported = datetime(2013, 1, 1, 6, tzinfo=UTC), datetime(2013, 1, 1, 6, 20, tzinfo=UTC)
    weather = {
        "origin": "EWR",
        "observed_at": observed,
        "known_at": reported,
        "month": "2013-01",
        "temperature_f": 39.5,
    }

    (row,) = lake.put("silver.weather", weather).run("features/origin_weather_v1")

    assert (row["event_time"], row["known_at"], row["month"]) == (observed, reported, "2013-01")
    assert (row["temperature_f"], row["wind_gust_mph"]) == (39.5, None)
