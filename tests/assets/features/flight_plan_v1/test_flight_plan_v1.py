"""What the plan says of a flight, by New York's clock and calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

VIEW = "features/flight_plan_v1"
PUBLISHED = datetime(2013, 2, 1, 5, tzinfo=UTC)
_PLAN = {
    "flight_id": "2013-03-11.UA.1.EWR",
    "flight_date": date(2013, 3, 11),
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "distance_miles": 1400,
    "scheduled_departure": datetime(2013, 3, 11, 10, 15, tzinfo=UTC),
    "known_at": PUBLISHED,
    "month": "2013-03",
}


def test_a_plan_gives_its_features_from_its_publication_on(lake: Any):
    (row,) = lake.put("silver.flight_plans", _PLAN).run(VIEW)

    # 10:15 UTC is 06:15 in New York, a day after daylight saving began; 11 March 2013 was a Monday.
    assert row == {
        "flight_id": "2013-03-11.UA.1.EWR",
        "event_time": PUBLISHED,
        "known_at": PUBLISHED,
        "carrier": "UA",
        "origin": "EWR",
        "dest": "IAH",
        "distance_miles": 1400,
        "scheduled_minute_of_day": 375,
        "scheduled_weekday": 0,
        "departures_in_hour": 1,
        "month": "2013-03",
    }


def test_the_day_is_new_yorks(lake: Any):
    # 03:30 UTC on Monday the 11th is 23:30 on Sunday the 10th.
    lake.put(
        "silver.flight_plans",
        _PLAN | {"flight_date": date(2013, 3, 10), "scheduled_departure": datetime(2013, 3, 11, 3, 30, tzinfo=UTC)},
    )

    (row,) = lake.run(VIEW)

    assert (row["scheduled_weekday"], row["scheduled_minute_of_day"]) == (6, 23 * 60 + 30)


def test_departures_in_the_hour_are_those_of_the_same_origin_day_and_hour(lake: Any):
    due = _PLAN["scheduled_departure"]
    lake.put("silver.flight_plans", _PLAN)
    for number, change in enumerate(
        [
            {"scheduled_departure": due + timedelta(minutes=44)},
            {"scheduled_departure": due + timedelta(minutes=45)},
            {"origin": "JFK"},
            {"flight_date": date(2013, 3, 12), "scheduled_departure": due + timedelta(days=1)},
        ],
        start=2,
    ):
        lake.put("silver.flight_plans", _PLAN | {"flight_id": str(number)} | change)

    found = {row["flight_id"]: row["departures_in_hour"] for row in lake.run(VIEW)}

    assert found == {"2013-03-11.UA.1.EWR": 2, "2": 2, "3": 1, "4": 1, "5": 1}


def test_a_row_that_counts_a_later_plan_is_known_no_sooner(lake: Any):
    later = PUBLISHED + timedelta(days=3)
    lake.put("silver.flight_plans", _PLAN, _PLAN | {"flight_id": "2", "known_at": later})

    assert [row["known_at"] for row in lake.run(VIEW)] == [later, later]
