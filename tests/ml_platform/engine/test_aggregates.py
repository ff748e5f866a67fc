from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ml_platform.engine.aggregates import Aggregate, compiled, months_around
from ml_platform.engine.point_in_time import join
from ml_platform.records.feature import FeatureView
from ml_platform.testing.windowed import ENTITY, alike, at, every_function, scan, single_rows

_INSTANT = timedelta(microseconds=1)


def told(rows: pa.Table, aggregates: dict[str, Aggregate], partition: str | None = "month") -> pl.DataFrame:
    """The view's rows, as DuckDB makes them."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("flights", rows)
        query = compiled("SELECT * FROM flights", ENTITY, partition, aggregates)
        return pl.DataFrame(connection.sql(query).to_arrow_table()).sort(*ENTITY, "event_time")


def as_of(rows: pl.DataFrame, aggregates: dict[str, Aggregate], moments: list[Any], ttl_hours: float) -> pl.DataFrame:
    """What the point-in-time join finds for both keys of a flight at each of the moments."""
    keys = [("JFK", "AA"), ("JFK", "UA"), ("LGA", "AA"), ("LGA", "UA")]
    asked = [(*key, moment) for key in keys for moment in moments]
    schema = {**dict.fromkeys(ENTITY, pl.String), "moment": pl.Datetime("us", "UTC")}
    events = pl.DataFrame(asked, schema=schema, orient="row")
    return join(events, [(FeatureView("recent_v1", ENTITY, tuple(aggregates), ttl_hours), rows)], "moment")


@pytest.mark.parametrize("seed", range(2))
def test_a_window_is_right_at_any_moment(seed: int) -> None:
    # given rows of which some come late, and windows of three hours and of a day
    aggregates = every_function(3, 24)
    rows = single_rows(120, seed)
    # when they are asked for on a finer grid than that of the rows, and an instant later
    moments = [at(quarter / 4) + late for quarter in range(0, 300, 2) for late in (_INSTANT * 0, _INSTANT)]
    found = as_of(told(rows, aggregates), aggregates, moments, ttl_hours=1000)
    # then each is what a scan of all rows gives
    single = rows.to_pylist()
    seen = 0
    for row in found.to_dicts():
        if row["rows_24"] is None:  # nothing was known of the entity yet
            continue
        seen += 1
        expected = {
            name: scan(single, (row["origin"], row["carrier"]), row["moment"], it) for name, it in aggregates.items()
        }
        assert alike(row, expected), row
    assert seen > 1000


def flights(*rows: tuple[float, float, float | None]) -> pa.Table:
    """Flights of one entity: hours of event time and of known at, and the delay."""
    found = single_rows(0)
    added = [
        {
            "origin": "JFK",
            "carrier": "AA",
            "event_time": at(event),
            "known_at": at(known),
            "delay": delay,
            "month": "2013-01",
        }
        for event, known, delay in rows
    ]
    return pa.concat_tables([found, pa.Table.from_pylist(added, schema=found.schema)])


def test_a_row_comes_in_when_it_is_known_and_goes_out_behind_the_window() -> None:
    rows = told(
        flights((0, 1, 10), (2, 2, 20)), {"mean": Aggregate("mean", 3, "delay"), "count": Aggregate("count", 3)}
    )
    assert rows.select("event_time", "mean", "count").rows() == [
        (at(1), 10.0, 1),
        (at(2), 15.0, 2),
        (at(3) + _INSTANT, 20.0, 1),
        (at(5) + _INSTANT, None, 0),
    ]
    assert rows["known_at"].to_list() == rows["event_time"].to_list()


def test_a_row_that_is_known_only_after_its_window_never_comes_in() -> None:
    assert told(flights((0, 3, 1), (0, 4, 2)), {"count": Aggregate("count", 3)}).select(
        "event_time", "count"
    ).rows() == [
        (at(3), 1),
        (at(3) + _INSTANT, 0),
    ]


def test_what_is_last_is_of_the_latest_event_not_of_the_latest_news() -> None:
    # the second to be known is of an earlier event; the third is of the same event as the first, told again
    rows = told(flights((5, 5, 1), (4, 6, 2), (5, 7, 3)), {"last": Aggregate("last", 10, "delay")})
    assert rows["last"].to_list()[:3] == [1.0, 1.0, 3.0]


def test_equal_rows_count_twice_and_missing_values_are_not_told_of() -> None:
    aggregates = {
        "rows": Aggregate("count", 1),
        "told": Aggregate("count", 1, "delay"),
        "sum": Aggregate("sum", 1, "delay"),
    }
    first, *_ = told(flights((0, 0, 7), (0, 0, 7), (0, 0, None)), aggregates).to_dicts()
    assert (first["rows"], first["told"], first["sum"]) == (3, 2, 14.0)


def test_a_sum_leaves_no_trace_of_what_has_gone_out() -> None:
    # in floating point 1e9 + 0.1 - 1e9 is 0.10000002384185791
    rows = told(flights((0, 0, 1e9), (1, 1, 0.1)), {"sum": Aggregate("sum", 2, "delay")})
    assert rows["sum"].to_list() == [1e9, 1000000000.1, 0.1, None]


def test_a_value_is_taken_to_so_many_decimals() -> None:
    rows = told(flights((0, 0, 0.126)), {"sum": Aggregate("sum", 1, "delay", decimals=2)})
    assert rows["sum"].to_list() == [0.13, None]


def test_windows_that_end_with_a_row_are_those_of_pandas() -> None:
    rows = single_rows(300, seed=5)
    on_time = rows.set_column(3, "known_at", rows["event_time"])
    found = told(on_time, {"mean": Aggregate("mean", 7, "delay"), "stddev": Aggregate("stddev", 7, "delay")})
    frame = on_time.to_pandas().sort_values("event_time").set_index("event_time")
    for key, of in frame.groupby(list(ENTITY)):
        rolling = of["delay"].astype(float).rolling("7h", closed="both")
        # of rows of one moment, the last sees all of them
        expected = pd.DataFrame({"mean": rolling.mean(), "stddev": rolling.std()}).groupby(level=0).last()
        own = (
            found.filter((pl.col("origin") == key[0]) & (pl.col("carrier") == key[1]))
            .to_pandas()
            .set_index("event_time")
        )
        pd.testing.assert_frame_equal(
            own.loc[expected.index, ["mean", "stddev"]], expected, check_index_type=False, check_dtype=False, rtol=1e-9
        )


def test_a_row_without_a_moment_stays_to_be_refused() -> None:
    rows = flights((0, 0, 1))
    unknown = rows.set_column(3, "known_at", pa.nulls(1, rows.schema.field("known_at").type))
    assert told(unknown, {"count": Aggregate("count", 1)})["event_time"].to_list() == [None]


def test_a_moment_stands_in_the_first_partition_of_what_changes_then() -> None:
    rows = flights((0, 0, 1), (2, 2, 2))
    months = rows.set_column(6, "month", pa.array(["2013-01", "2013-02"]))
    # two hours after the first row the second comes in, and an instant later the first goes out
    found = told(months, {"count": Aggregate("count", 2)}).select("event_time", "month").rows()
    assert found == [
        (at(0), "2013-01"),
        (at(2), "2013-02"),
        (at(2) + _INSTANT, "2013-01"),
        (at(4) + _INSTANT, "2013-02"),
    ]
    assert "month" not in told(rows, {"count": Aggregate("count", 2)}, partition=None).columns


def test_windows_reach_over_as_many_months_as_they_need() -> None:
    hours = {1: 1, 168: 1, 624: 1, 625: 2, 2160: 4}
    assert {it: months_around({"a": Aggregate("count", it), "b": Aggregate("count", 1)}) for it in hours} == hours
