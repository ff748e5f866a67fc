"""What arrives when, on small frames with hand-computed moments."""

from __future__ import annotations

import binascii
from datetime import date
from typing import Any

import polars as pl
import pytest

from assets.landing.flights import layout

_SCHEMA = {
    "year": pl.Int64,
    "month": pl.Int64,
    "day": pl.Int64,
    "dep_time": pl.Int64,
    "sched_dep_time": pl.Int64,
    "dep_delay": pl.Int64,
    "arr_time": pl.Int64,
    "sched_arr_time": pl.Int64,
    "arr_delay": pl.Int64,
    "carrier": pl.String,
    "flight": pl.Int64,
    "tailnum": pl.String,
    "origin": pl.String,
    "dest": pl.String,
    "air_time": pl.Int64,
    "distance": pl.Int64,
    "hour": pl.Int64,
    "minute": pl.Int64,
    "time_hour": pl.String,
}
_ON_TIME = {
    "year": 2013,
    "month": 1,
    "day": 1,
    "dep_time": 517,
    "dep_delay": 2,
    "sched_arr_time": 819,
    "arr_delay": 11,
    "carrier": "UA",
    "flight": 1545,
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "air_time": 227,
    "distance": 1400,
    "minute": 15,
    "time_hour": "2013-01-01T10:00:00Z",
}
_WEATHER = {
    "origin": "EWR",
    **dict.fromkeys(
        ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"), 1.0
    ),
}
ALL_MONTHS = [f"2013-{month:02}" for month in range(1, 13)]


def flights(*changes: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([_ON_TIME | change for change in changes], schema=_SCHEMA)


def weather(*hours: str) -> pl.DataFrame:
    return pl.DataFrame([_WEATHER | {"time_hour": hour} for hour in hours])


def landed(*changes: dict[str, Any], months: list[str] = ALL_MONTHS) -> dict[str, pl.DataFrame]:
    return layout.files(flights(*changes), weather("2013-01-01T06:00:00Z"), months)


def test_a_plan_is_published_at_new_york_midnight_of_the_first_of_the_month_before():
    rows = layout.schedule(
        flights({}, {"month": 8, "day": 31, "time_hour": "2013-08-31T09:00:00Z"}, {"month": 12, "day": 9})
    )

    # New York is five hours behind UTC in December and November (from the 3rd on), four in July and on 1 November.
    assert rows["known_at"].dt.strftime("%Y-%m-%dT%H:%MZ").to_list() == [
        "2012-12-01T05:00Z",
        "2013-07-01T04:00Z",
        "2013-11-01T04:00Z",
    ]


def test_the_schedule_gives_departure_and_arrival_as_local_text():
    (row,) = layout.schedule(flights({"sched_arr_time": 5})).to_dicts()

    assert row["scheduled_departure"] == "2013-01-01 05:15"
    assert row["scheduled_arrival"] == "0005"


@pytest.mark.parametrize(
    ("day", "time_hour", "local"),
    [
        ({"month": 3, "day": 9}, "2013-03-09T11:00:00Z", "2013-03-09 06:15"),
        ({"month": 3, "day": 10}, "2013-03-10T10:00:00Z", "2013-03-10 06:15"),
        ({"month": 11, "day": 2}, "2013-11-02T10:00:00Z", "2013-11-02 06:15"),
        ({"month": 11, "day": 3}, "2013-11-03T11:00:00Z", "2013-11-03 06:15"),
    ],
)
def test_local_text_follows_daylight_saving(day: dict[str, int], time_hour: str, local: str):
    (row,) = layout.schedule(flights(day | {"time_hour": time_hour})).to_dicts()

    assert row["scheduled_departure"] == local


def test_a_departure_is_known_when_the_flight_leaves():
    early, late = layout.departures(flights({"dep_delay": -5}, {"dep_delay": 70})).to_dicts()

    assert (early["status"], f"{early['known_at']:%H:%M}") == ("departed", "10:10")
    assert (late["departure_delay_minutes"], f"{late['known_at']:%H:%M}") == (70, "11:25")


def test_a_cancellation_is_known_at_the_scheduled_departure_and_never_arrives():
    cancelled = flights({"dep_time": None, "dep_delay": None, "arr_delay": None, "air_time": None})

    (row,) = layout.departures(cancelled).to_dicts()

    assert (row["status"], row["departure_delay_minutes"], f"{row['known_at']:%H:%M}") == ("cancelled", None, "10:15")
    assert layout.arrivals(cancelled).is_empty()


def test_an_arrival_is_known_an_hour_after_its_air_time():
    (row,) = layout.arrivals(flights({})).to_dicts()

    # 10:15 and a delay of 2, 227 minutes in the air, 60 minutes: 289 minutes after 10:15.
    assert (row["status"], row["arrival_delay_minutes"], f"{row['known_at']:%H:%M}") == ("arrived", 11, "15:04")


def test_a_flight_without_air_time_is_known_four_hours_after_it_left():
    (row,) = layout.arrivals(flights({"arr_delay": None, "air_time": None})).to_dicts()

    assert (row["status"], row["arrival_delay_minutes"], f"{row['known_at']:%H:%M}") == ("diverted", None, "14:17")


def test_a_file_holds_the_new_york_day_in_which_its_rows_became_known():
    # 31 January 21:15 in New York, three hours late: it leaves on 1 February, at 00:15, which is 05:15 UTC.
    at_the_edge = {"day": 31, "time_hour": "2013-02-01T02:00:00Z", "dep_delay": 180}

    files = landed(at_the_edge)

    assert [path for path in files if path.startswith("departures")] == ["departures/2013-02-01.csv"]
    assert files["departures/2013-02-01.csv"]["flight_date"].to_list() == [date(2013, 1, 31)]
    assert "schedule/2013-01.csv" in files
    assert not [path for path in landed(at_the_edge, months=["2013-01"]) if path.startswith("departures")]


def test_a_file_does_not_depend_on_the_other_months_that_land():
    rows = [{}, {"month": 2, "time_hour": "2013-02-01T10:00:00Z"}, {"day": 31, "time_hour": "2013-02-01T02:00:00Z"}]

    together, alone = landed(*rows), landed(*rows, months=["2013-02"])

    assert sorted(alone) == ["arrivals/2013-02-01.csv", "departures/2013-02-01.csv", "schedule/2013-02.csv"]
    assert all(together[path].equals(held) for path, held in alone.items())


def test_the_last_week_of_the_year_lands_hourly_by_new_york_hours():
    before = {"month": 12, "day": 24, "time_hour": "2013-12-25T04:00:00Z"}  # 23:15, leaves at 23:17
    within = {"month": 12, "day": 27, "time_hour": "2013-12-27T20:00:00Z"}  # 15:15
    after = {"month": 12, "day": 31, "time_hour": "2014-01-01T04:00:00Z", "dep_delay": 60}  # leaves at 00:15

    departures = [path for path in landed(before, within, after) if path.startswith("departures")]

    assert sorted(departures) == [
        "departures/2013-12-24.csv",
        "departures/2013-12-27T15.csv",
        "departures/2014-01-01.csv",
    ]


def test_the_first_hours_of_2014_land_with_december():
    late = {"month": 12, "day": 31, "time_hour": "2014-01-01T04:00:00Z", "dep_delay": 60}

    assert "departures/2014-01-01.csv" in landed(late, months=["2013-12"])


def test_weather_is_known_when_observed():
    rows = layout.files(flights({}), weather("2013-01-01T06:00:00Z", "2013-12-27T20:00:00Z"), ALL_MONTHS)

    assert rows["weather/2013-01-01.csv"]["known_at"].to_list() == ["2013-01-01T06:00:00Z"]
    assert "weather/2013-12-27T15.csv" in rows


def test_rows_stand_in_the_order_in_which_they_became_known():
    (rows,) = (
        rows
        for path, rows in landed({"flight": 2, "dep_delay": 9}, {"flight": 3}, {"flight": 1}).items()
        if path == "departures/2013-01-01.csv"
    )

    assert rows["flight"].to_list() == [1, 3, 2]


def test_reference_tables_are_known_a_month_before_the_first_flight():
    rows = layout.reference(pl.DataFrame({"carrier": ["UA"], "name": ["United"]}))

    assert rows.to_dicts() == [
        {
            "carrier": "UA",
            "name": "United",
            "event_time": "2012-12-01T00:00:00Z",
            "known_at": "2012-12-01T00:00:00Z",
        }
    ]


def test_a_sample_keeps_the_flights_whose_checksum_it_divides():
    expected = [n for n in range(1, 40) if binascii.crc32(f"2013-01-01.UA.{n}.EWR".encode()) % 3 == 0]

    kept = layout.sample(flights(*({"flight": n} for n in range(1, 40))), 3)

    assert kept["flight"].to_list() == expected
