from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from ml_platform.engine.leakage import Asked, Leakage, LeakageError, require_none
from ml_platform.engine.point_in_time import join, with_request_time
from ml_platform.records.feature import FeatureView, RequestTimeFeatures

START = datetime(2013, 1, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
WIND = FeatureView("wind_v1", ("origin",), ("wind", "sky"), ttl_hours=9)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def winds() -> pl.DataFrame:
    """Every four hours a wind, known two hours later; the sky is known of each other one."""
    return pl.DataFrame(
        {
            "origin": ["JFK"] * 20,
            "event_time": pl.Series([at(4 * number) for number in range(20)], dtype=TIME),
            "known_at": pl.Series([at(4 * number + 2) for number in range(20)], dtype=TIME),
            "wind": [float(number) for number in range(20)],
            "sky": ["clear" if number % 2 else None for number in range(20)],
        }
    )


@pytest.fixture
def audited() -> Iterator[Any]:
    """Audits a training set of the view."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA staged; CREATE SCHEMA features")

        def audit(rows: pl.DataFrame, size: int = 1000, request_time: Sequence[RequestTimeFeatures] = ()) -> Leakage:
            for name, frame in (("staged.rows", rows), ("features.wind_v1", winds())):
                connection.register("frame", frame.to_arrow())
                connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM frame")
            views = {"features/wind_v1": WIND}
            asked = Asked("training_sets/late", ("flight",), "moment", views, request_time, size)
            return require_none(asked, lambda query: connection.sql(query).to_arrow_table())

        yield audit


def training_set() -> pl.DataFrame:
    moments = [at(number * 1.5) for number in range(66)]
    events = pl.DataFrame(
        {
            "flight": [f"f{number}" for number in range(66)],
            "origin": ["SFO" if number % 10 == 9 else "JFK" for number in range(66)],
            "moment": pl.Series(moments, dtype=TIME),
        }
    )
    return join(events, [(WIND, winds())], "moment")


def test_a_set_of_what_was_known_is_clean(audited: Any) -> None:
    assert audited(training_set()) == Leakage(66)
    assert audited(training_set(), size=10) == Leakage(10)


def computing(body: str) -> RequestTimeFeatures:
    text = f"seen = []\n\ndef gust_v1(moment, wind):\n    seen.append(wind)\n    return {{'gust': {body}}}\n"
    text = text.replace("moment,", "event_time,")
    return RequestTimeFeatures("gust_v1", {"event_time": "datetime", "wind": "float | None"}, {"gust": "number"}, text)


def test_what_is_computed_of_its_own_row_is_clean_and_what_draws_on_others_is_found(audited: Any) -> None:
    own = computing("None if wind is None else wind * 2 + event_time.hour")
    rows = training_set()
    assert audited(with_request_time(rows, [own], "moment"), request_time=[own]) == Leakage(66)
    # what a function keeps of the rows that came before, and what somebody wrote over
    drawing = computing("len(seen)")
    with pytest.raises(LeakageError, match="of 66 sampled events: gust in 66, but nothing is learned"):
        audited(with_request_time(rows, [drawing], "moment"), request_time=[drawing])
    planted = with_request_time(rows, [own], "moment").with_columns(
        pl.when(pl.col("flight") == "f20").then(0.0).otherwise(pl.col("gust")).alias("gust")
    )
    with pytest.raises(LeakageError, match="of 66 sampled events: gust in 1, but nothing is learned"):
        audited(planted, request_time=[own])


def test_a_planted_leak_is_found_and_its_feature_named(audited: Any) -> None:
    # given one event in 66 whose wind is the next one, known only later
    rows = training_set()
    leaked = rows.with_columns(
        pl.when(pl.col("flight") == "f20").then(pl.col("wind") + 1).otherwise(pl.col("wind")).alias("wind")
    )
    with pytest.raises(LeakageError, match="of 66 sampled events: wind in 1, but nothing is learned") as error:
        audited(leaked)
    assert error.value.found == Leakage(66, {"wind": 1})


def test_a_join_that_does_not_ask_when_a_value_was_known_is_found(audited: Any) -> None:
    # given a set that was joined by event time alone
    early = winds().with_columns(known_at=pl.col("event_time"))
    events = training_set().drop("wind", "sky")
    with pytest.raises(LeakageError, match=r"sky in .*, wind in "):
        audited(join(events, [(WIND, early)], "moment"))


def test_a_value_where_there_was_none_is_found(audited: Any) -> None:
    rows = training_set().with_columns(pl.col("sky").fill_null("clear"))
    with pytest.raises(LeakageError, match="sky in"):
        audited(rows)
