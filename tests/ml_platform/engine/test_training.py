from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from ml_platform.engine.point_in_time import join
from ml_platform.engine.training import Question, parts
from ml_platform.errors import AuditError
from ml_platform.records.feature import FeatureView
from ml_platform.records.split import HashSplit, TimeSplit

START = datetime(2013, 1, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
WIND = FeatureView("wind_v1", ("origin",), ("wind",), ttl_hours=30)
SPLIT = TimeSplit(
    "event_time",
    {
        "train": ("2013-01-01", "2013-01-06"),
        "validate": ("2013-01-07", "2013-01-08"),
        "test": ("2013-01-09", "2013-01-10"),
    },
)
QUESTION = Question(
    events="gold/asked",
    columns=("flight", "origin", "event_time", "late"),
    entity=("flight",),
    event_time="event_time",
    label="late",
    split=SPLIT,
    views={"features/wind_v1": WIND},
)


def events(count: int = 120, **columns: Any) -> pl.DataFrame:
    """A flight every two hours for ten days, each known to be late or not five hours after."""
    at = [START + timedelta(hours=2 * number) for number in range(count)]
    made = {
        "flight": [f"f{number}" for number in range(count)],
        "origin": [("JFK", "LGA", None)[number % 3] for number in range(count)],
        "event_time": pl.Series(at, dtype=TIME),
        "known_at": pl.Series([moment + timedelta(hours=5) for moment in at], dtype=TIME),
        "late": [number % 2 == 0 for number in range(count)],
    }
    return pl.DataFrame({**made, **columns})


def winds() -> pl.DataFrame:
    """A wind every seven hours at both origins, known three hours later, a day later for each fifth."""
    at = [START + timedelta(hours=7 * number) for number in range(-3, 34)]
    known = [moment + timedelta(hours=27 if place % 5 == 0 else 3) for place, moment in enumerate(at)]
    frames = [
        pl.DataFrame(
            {
                "origin": [origin] * len(at),
                "event_time": pl.Series(at, dtype=TIME),
                "known_at": pl.Series(known, dtype=TIME),
                "wind": [float(number) for number in range(len(at))],
            }
        )
        for origin in ("JFK", "LGA")
    ]
    return pl.concat(frames)


@pytest.fixture
def made() -> Iterator[Callable[..., pl.DataFrame]]:
    """Makes a training set of a question over events and winds."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA gold; CREATE SCHEMA features")

        def make(question: Question = QUESTION, asked: pl.DataFrame | None = None) -> pl.DataFrame:
            for name, frame in (("gold.asked", events() if asked is None else asked), ("features.wind_v1", winds())):
                connection.register("frame", frame.to_arrow())
                connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM frame")
            make.fetched = []

            def fetch(query: str) -> pa.Table:
                make.fetched.append(connection.sql(query).to_arrow_table())
                return make.fetched[-1]

            return pl.concat(pl.DataFrame(pl.from_arrow(part)) for part in parts(question, fetch))

        yield make


@pytest.mark.parametrize("size", [1, 30, 1000])
def test_parts_are_the_join_of_the_whole(made: Callable[..., pl.DataFrame], size: int) -> None:
    whole = join(events(), [(WIND, winds())], "event_time")
    found = made(replace(QUESTION, at_a_time=size))
    assert found["flight"].to_list() == whole["flight"].to_list()
    assert found["wind"].to_list() == whole["wind"].to_list()
    assert found["wind"].null_count() >= 40
    assert found["wind"].n_unique() > 25


def test_no_more_is_held_than_some_days_and_the_rows_that_they_can_use(made: Any) -> None:
    made(replace(QUESTION, at_a_time=30))
    rows = [len(table) for table in made.fetched]
    # two days hold 24 events, and they and the thirty hours before them 11 or 12 winds at each of two airports
    assert sum(rows) > 120
    assert max(rows) == 24


def test_rows_out_are_rows_in_where_key_and_time_repeat(made: Callable[..., pl.DataFrame]) -> None:
    twice = pl.concat([events(), events()])
    assert made(asked=twice).height == 240


def test_splits_are_by_time_and_gaps_are_left_out(made: Callable[..., pl.DataFrame]) -> None:
    # when six hours before each later split are left out, for parts of a day each
    found = made(replace(QUESTION, split=replace(SPLIT, gap_hours=6), at_a_time=1))
    # then the last that is learned of is strictly more than six hours before the first of the next
    assert {name: of.height for (name,), of in found.group_by("split")} == {"train": 69, "validate": 21, "test": 24}
    last = found.filter(pl.col("split") == "train")["event_time"].max()
    assert last == datetime(2013, 1, 6, 16, tzinfo=UTC)


def test_a_hash_keeps_an_entity_together(made: Callable[..., pl.DataFrame]) -> None:
    split = HashSplit(("flight",), {"train": 0.5, "validate": 0.25, "test": 0.25})
    asked = pl.concat([events(), events(event_time=events()["event_time"].dt.offset_by("30m"))])
    found = made(replace(QUESTION, split=split), asked)
    assert found.group_by("flight").agg(pl.col("split").n_unique())["split"].unique().to_list() == [1]
    assert 0.4 < (found["split"] == "train").mean() < 0.6


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (events(event_time=events()["event_time"].dt.replace_time_zone(None)), "event_time of gold/asked is a .*local"),
        (events(event_time=pl.Series([None, *events()["event_time"][1:]], dtype=TIME)), "is NULL in 1 rows"),
        (events(known_at=events()["event_time"].dt.offset_by("-1h")), "late was known before event_time in 120 rows"),
        (events(96), r"the split test has no event of gold/asked"),
        (events().drop("late"), "gold/asked has no column late"),
    ],
    ids=["local time", "no moment", "label before its event", "empty split", "no label"],
)
def test_events_that_cannot_be_learned_from_are_refused(
    made: Callable[..., pl.DataFrame], asked: pl.DataFrame, said: str
) -> None:
    with pytest.raises(AuditError, match=said):
        made(asked=asked)
