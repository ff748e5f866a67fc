"""What was reported of arrivals, typed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

_REPORT = {
    "flight_date": date(2013, 1, 1),
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "status": "arrived",
    "arrival_delay_minutes": 11,
    "air_time_minutes": 227,
    "event_time": datetime(2013, 1, 1, 15, 4, tzinfo=UTC),
    "known_at": datetime(2013, 1, 1, 15, 4, tzinfo=UTC),
    "month": "2013-01",
}


def test_an_arrival_keeps_its_delay_and_air_time(lake: Any):
    assert lake.put("bronze.arrivals", _REPORT).run("silver/arrivals") == [
        {
            "flight_id": "2013-01-01.UA.1545.EWR",
            "diverted": False,
            "arrival_delay_minutes": 11,
            "air_time_minutes": 227,
            "known_at": datetime(2013, 1, 1, 15, 4, tzinfo=UTC),
            "month": "2013-01",
        }
    ]


def test_a_diverted_flight_has_no_delay(lake: Any):
    diverted = {"status": "diverted", "arrival_delay_minutes": None, "air_time_minutes": None}

    (row,) = lake.put("bronze.arrivals", _REPORT | diverted).run("silver/arrivals")

    assert (row["diverted"], row["arrival_delay_minutes"]) == (True, None)
