"""The question's moment and its answer, on single flights and on the whole year."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

DUE = datetime(2013, 7, 4, 15, tzinfo=UTC)
_FLIGHT = {
    "flight_id": "2013-07-04.UA.1.EWR",
    "month": "2013-07",
    "scheduled_departure": DUE,
    "cancelled": False,
    "known_at": datetime(2013, 7, 4, 20, tzinfo=UTC),
}
_MONTH = pl.col("flight_date").dt.strftime("%Y-%m").alias("month")


@pytest.mark.parametrize(("delay", "late"), [(-4, False), (15, False), (16, True), (None, None)])
def test_late_is_more_than_fifteen_minutes_and_unknown_without_an_arrival(lake: Any, delay: int, late: bool):
    (outcome,) = lake.put("silver.flights", _FLIGHT | {"arrival_delay_minutes": delay}).run("gold/flight_outcomes")

    assert outcome["arrived_late"] is late


def test_the_question_is_asked_an_hour_before_the_scheduled_departure(lake: Any):
    (outcome,) = lake.put("silver.flights", _FLIGHT).run("gold/flight_outcomes")

    assert outcome["event_time"] == datetime(2013, 7, 4, 14, tzinfo=UTC)
    assert outcome["known_at"] == datetime(2013, 7, 4, 20, tzinfo=UTC)


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_the_year_has_the_labels_that_its_source_has(lake: Any):
    from assets.landing.flights import flights, layout

    year = flights.read_table(flights.package_data() / "flights.csv.zip")
    for rows in (layout.schedule, layout.departures, layout.arrivals):
        lake.load(f"bronze.{rows.__name__}", rows(year).with_columns(_MONTH))
    for table in ("flight_plans", "departures", "arrivals", "flights"):
        lake.make(f"silver/{table}")
    lake.make("gold/flight_outcomes")

    counted = lake.frame("""
        SELECT
            count(*) AS flights,
            count(DISTINCT flight_id) AS ids,
            count(*) FILTER (WHERE cancelled) AS cancelled,
            count(arrived_late) FILTER (WHERE month <= '2013-09') AS train,
            count(arrived_late) FILTER (WHERE month = '2013-10') AS validate,
            count(arrived_late) FILTER (WHERE month >= '2013-11') AS test
        FROM gold.flight_outcomes
    """)

    # Counted in flights.csv: rows, rows without dep_time, and rows with arr_delay by month.
    assert counted.row(0) == (336_776, 336_776, 8_255, 244_737, 28_618, 53_991)
