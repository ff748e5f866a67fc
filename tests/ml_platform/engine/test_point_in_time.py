from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from ml_platform.engine.point_in_time import join
from ml_platform.errors import AuditError
from ml_platform.records.feature import FeatureView

START = datetime(2013, 1, 1, tzinfo=UTC)
WEATHER = FeatureView("weather_v1", entity=("origin",), features=("wind",), ttl_hours=6)
TIME = pl.Datetime("us", "UTC")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def events(*rows: tuple[str | None, datetime]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={"origin": pl.String, "moment": TIME}, orient="row")


def weather(*rows: tuple[str | None, datetime | None, datetime | None, float | None]) -> pl.DataFrame:
    schema = {"origin": pl.String, "event_time": TIME, "known_at": TIME, "wind": pl.Float64}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def winds(asked: pl.DataFrame, rows: pl.DataFrame, view: FeatureView = WEATHER) -> list[float | None]:
    return join(asked, [(view, rows)], "moment")["wind"].to_list()


def scan(rows: list[Any], origin: str | None, moment: datetime, ttl_hours: float) -> float | None:
    """The role's own words, row by row: known by then, not older than its ttl; the latest, of those the last known."""
    usable = [
        (event, known, wind)
        for key, event, known, wind in rows
        if key is not None
        and key == origin
        and known <= moment
        and moment - timedelta(hours=ttl_hours) <= event <= moment
    ]
    return max(usable)[2] if usable else None


def random_rows(source: random.Random, count: int, *, late: bool) -> list[Any]:
    """On a grid of half hours, so that ties and edges are common; the number tells any two rows apart."""
    found = []
    for number in range(count):
        event = at(source.randrange(0, 96) / 2)
        delay = timedelta(hours=source.choice([0, 0, source.randrange(-8, 40) / 2])) if late else timedelta()
        known = event + delay + timedelta(microseconds=number)
        found.append((source.choice(["JFK", "LGA", "EWR", None]), event if late else known, known, float(number)))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_join_agrees_with_a_scan_of_all_rows(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - a test's data
    rows = random_rows(source, 300, late=True)
    asked = [(source.choice(["JFK", "LGA", "EWR", "SFO", None]), at(source.randrange(-4, 140) / 2)) for _ in range(400)]
    expected = [scan(rows, origin, moment, 6) for origin, moment in asked]
    assert winds(events(*asked), weather(*rows)) == expected
    assert None in expected
    assert len(set(expected)) > 50


def test_the_join_agrees_with_pandas_and_duckdb_where_nothing_comes_late() -> None:
    source = random.Random(20130101)  # noqa: S311 - a test's data
    rows = [row for row in random_rows(source, 500, late=False) if row[0]]
    asked = [(source.choice(["JFK", "LGA", "EWR", "SFO"]), at(source.randrange(0, 120) / 2)) for _ in range(500)]
    found = winds(events(*asked), weather(*rows))

    left = pd.DataFrame(asked, columns=["origin", "moment"]).reset_index().sort_values("moment")
    right = pd.DataFrame(rows, columns=["origin", "event_time", "known_at", "wind"]).sort_values("event_time")
    merged = pd.merge_asof(
        left, right, left_on="moment", right_on="event_time", by="origin", tolerance=pd.Timedelta(hours=6)
    ).sort_values("index")
    assert found == [None if pd.isna(wind) else wind for wind in merged["wind"]]

    with duckdb.connect() as connection:
        connection.register("asked", left)
        connection.register("weather", right)
        query = """SELECT CASE WHEN event_time >= moment - INTERVAL 6 HOUR THEN wind END
            FROM asked ASOF LEFT JOIN weather ON asked.origin = weather.origin AND moment >= event_time
            ORDER BY index"""
        assert found == [wind for (wind,) in connection.execute(query).fetchall()]


def test_rows_out_are_rows_in_in_their_order() -> None:
    asked = events(("LGA", at(3)), ("JFK", at(1)), ("LGA", at(3)), (None, at(2)), ("JFK", at(1)))
    found = join(asked, [(WEATHER, weather(("JFK", at(0), at(0), 1.0), ("LGA", at(0), at(0), 2.0)))], "moment")
    assert found.columns == ["origin", "moment", "wind"]
    assert found.select("origin", "moment").equals(asked)
    assert found["wind"].to_list() == [2.0, 1.0, 2.0, None, 1.0]


def test_a_row_is_not_used_before_it_was_known() -> None:
    rows = weather(("JFK", at(0), at(2), 1.0))
    instant = timedelta(microseconds=1)
    assert winds(events(("JFK", at(2) - instant), ("JFK", at(2))), rows) == [None, 1.0]


def test_a_row_that_was_known_before_its_event_is_not_used_before_it() -> None:
    rows = weather(("JFK", at(5), at(0), 1.0))
    instant = timedelta(microseconds=1)
    assert winds(events(("JFK", at(5) - instant), ("JFK", at(5))), rows) == [None, 1.0]


def test_a_row_ends_with_its_ttl_after_its_event_not_after_it_was_known() -> None:
    rows = weather(("JFK", at(0), at(4), 1.0))
    instant = timedelta(microseconds=1)
    assert winds(events(("JFK", at(6)), ("JFK", at(6) + instant)), rows) == [1.0, None]


def test_a_ttl_may_be_a_part_of_an_hour() -> None:
    view = FeatureView("weather_v1", ("origin",), ("wind",), ttl_hours=0.1)
    rows = weather(("JFK", at(0), at(0), 1.0))
    minutes = [events(("JFK", START + timedelta(minutes=6, microseconds=more))) for more in (0, 1)]
    assert [winds(one, rows, view) for one in minutes] == [[1.0], [None]]


def test_an_earlier_event_that_comes_late_does_not_replace_a_later_one() -> None:
    rows = weather(("JFK", at(1), at(1), 1.0), ("JFK", at(0), at(2), 99.0))
    assert winds(events(("JFK", at(3))), rows) == [1.0]


def test_a_correction_counts_from_the_moment_it_is_known() -> None:
    rows = weather(("JFK", at(0), at(3), 2.0), ("JFK", at(0), at(0), 1.0))
    assert winds(events(("JFK", at(2)), ("JFK", at(3))), rows) == [1.0, 2.0]


def test_of_rows_known_before_their_event_the_one_known_last_counts() -> None:
    rows = weather(("JFK", at(5), at(2), 2.0), ("JFK", at(5), at(1), 1.0))
    assert winds(events(("JFK", at(5))), rows) == [2.0]


def test_a_newer_row_without_a_value_is_the_newer_row() -> None:
    rows = weather(("JFK", at(0), at(0), 1.0), ("JFK", at(1), at(1), None))
    assert winds(events(("JFK", at(2))), rows) == [None]


def test_a_null_key_is_nobodys() -> None:
    assert winds(events((None, at(1))), weather((None, at(0), at(0), 1.0))) == [None]


def test_a_view_without_rows_gives_nulls() -> None:
    assert winds(events(("JFK", at(1))), weather()) == [None]
    assert join(events(), [(WEATHER, weather(("JFK", at(0), at(0), 1.0)))], "moment").height == 0


def test_a_view_may_be_keyed_by_an_earlier_views_feature() -> None:
    # given flights, of which the plan tells the origin, and the weather there
    plan = FeatureView("plan_v1", ("flight",), ("origin",), ttl_hours=100)
    plans = pl.DataFrame(
        [("a", at(0), at(0), "JFK"), ("b", at(0), at(5), "LGA")],
        schema={"flight": pl.String, "event_time": TIME, "known_at": TIME, "origin": pl.String},
        orient="row",
    )
    asked = pl.DataFrame([("a", at(2)), ("b", at(2))], schema={"flight": pl.String, "moment": TIME}, orient="row")
    rows = weather(("JFK", at(1), at(1), 10.0), ("LGA", at(1), at(1), 20.0))
    # when both are joined while the second plan is not known
    found = join(asked, [(plan, plans), (WEATHER, rows)], "moment")
    # then its weather is not either
    assert found.select("origin", "wind").rows() == [("JFK", 10.0), (None, None)]


def test_a_key_of_two_columns_is_both_of_them() -> None:
    view = FeatureView("route_v1", ("origin", "dest"), ("wind",), ttl_hours=6)
    rows = weather(("JFK", at(0), at(0), 1.0), ("JFK", at(1), at(1), 2.0)).with_columns(dest=pl.Series(["LAX", "SFO"]))
    asked = events(("JFK", at(2)), ("JFK", at(2)), ("JFK", at(2))).with_columns(dest=pl.Series(["LAX", "SFO", None]))
    assert winds(asked, rows, view) == [1.0, 2.0, None]


@pytest.mark.parametrize(
    ("asked", "rows", "said"),
    [
        (events(("JFK", None)), weather(), "moment is NULL in 1 rows of the events"),  # type: ignore[arg-type]
        (events(), weather(("JFK", None, at(0), 1.0)), "event_time is NULL in 1 rows of weather_v1"),
        (events(), weather(("JFK", at(0), None, 1.0)), "known_at is NULL in 1 rows of weather_v1"),
        (events().rename({"origin": "dest"}), weather(), "weather_v1 is keyed by origin, but neither the events"),
        (
            events().with_columns(origin=pl.lit(7)),
            weather(),
            "origin of the events is a Int32, but weather_v1",
        ),
        (events().with_columns(wind=1.0), weather(), "weather_v1 gives wind, but the events or an earlier view have"),
    ],
)
def test_what_cannot_be_joined_is_refused(asked: pl.DataFrame, rows: pl.DataFrame, said: str) -> None:
    with pytest.raises(AuditError, match=said):
        winds(asked, rows)


@pytest.mark.parametrize("zone", [None, "America/New_York"], ids=["naive", "New York"])
def test_local_time_is_refused(zone: str | None) -> None:
    asked = events(("JFK", at(1))).with_columns(pl.col("moment").dt.convert_time_zone("UTC").dt.replace_time_zone(zone))
    with pytest.raises(AuditError, match=r"moment of the events is a .*, but what is known is known as of a moment"):
        winds(asked, weather())
