"""Flight plans: local times as published, made UTC."""

from __future__ import annotations

import polars as pl

_ZONE = "America/New_York"


def flight_plans(schedule: pl.DataFrame) -> pl.DataFrame:
    """One row for each published plan, in the schedule's order.

    A departure in the hour that repeats when daylight saving ends is taken as the first of the two; one in the hour
    that is skipped when it begins does not exist and raises.
    """
    local = pl.col("scheduled_departure").str.to_datetime("%Y-%m-%d %H:%M", time_unit="us")
    departure = local.dt.replace_time_zone(_ZONE, ambiguous="earliest", non_existent="raise")
    return schedule.select(
        pl.concat_str("flight_date", "carrier", "flight", "origin", separator=".").alias("flight_id"),
        "flight_date",
        "carrier",
        "flight",
        "origin",
        "dest",
        "distance_miles",
        departure.dt.convert_time_zone("UTC").alias("scheduled_departure"),
        "scheduled_arrival",
        "known_at",
        "month",
    )
