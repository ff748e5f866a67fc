"""Weather with its units in its names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def test_an_observation_is_named_by_units_and_a_missing_value_stays_missing(lake: Any):
    observed_at = datetime(2013, 1, 1, 6, tzinfo=UTC)
    lake.put(
        "bronze.weather",
        {
            "origin": "EWR",
            "temp": 39.02,
            "dewp": 26.06,
            "humid": 59.37,
            "wind_dir": 270,
            "wind_speed": 10.35,
            "precip": 0.01,
            "pressure": 1012.0,
            "visib": 10.0,
            "event_time": observed_at,
            "known_at": observed_at,
            "month": "2013-01",
        },
    )

    assert lake.run("silver/weather") == [
        {
            "origin": "EWR",
            "observed_at": observed_at,
            "temperature_f": 39.02,
            "dew_point_f": 26.06,
            "humidity_percent": 59.37,
            "wind_direction_degrees": 270,
            "wind_speed_mph": 10.35,
            "wind_gust_mph": None,
            "precipitation_inches": 0.01,
            "pressure_hpa": 1012.0,
            "visibility_miles": 10.0,
            "known_at": observed_at,
            "month": "2013-01",
        }
    ]
