"""What was reported of departures, typed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

_REPORT = {
    "flight_date": date(2013, 1, 1),
    "carrier": "UA",
    "flight": 1545,
    "origin": "EWR",
    "status": "departed",
    "tailnum": "N14228",
    "departure_delay_minutes": 2,
    "event_time": datetime(2013, 1, 1, 10, 17, tzinfo=UTC),
    "known_at": datetime(2013, 1, 1, 10, 17, tzinfo=UTC),
    "month": "2013-01",
}


def test_a_departure_keeps_its_delay(lake: Any):
    assert lake.put("bronze.departures", _REPORT).run("silver/departures") == [
        {
            "flight_id": "2013-01-01.UA.1545.EWR",
            "cancelled": False,
            "tailnum": "N14228",
            "departure_delay_minutes": 2,
            "known_at": datetime(2013, 1, 1, 10, 17, tzinfo=UTC),
            "month": "2013-01",
        }
    ]


def test_a_cancellation_is_a_row_without_a_delay(lake: Any):
    lake.put("bronze.departures", _REPORT | {"status": "cancelled", "departure_delay_minutes": None})

    (row,) = lake.run("silver/departures")

    assert (row["cancelled"], row["departure_delay_minutes"]) == (True, None)


def test_every_report_of_a_flight_is_offered_to_the_merge(lake: Any):
    later = {"departure_delay_minutes": 9, "known_at": datetime(2013, 1, 1, 10, 24, tzinfo=UTC)}

    rows = lake.put("bronze.departures", _REPORT, _REPORT, _REPORT | later).run("silver/departures")

    assert [row["departure_delay_minutes"] for row in rows] == [2, 9]
