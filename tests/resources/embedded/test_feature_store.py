from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.feature import FeatureView, LookUp
from ml_platform.testing.feature_store import START, WEATHER, FeatureStoreContract, at, rows_of
from resources.embedded.feature_store import EmbeddedFeatureStore


class TestEmbeddedFeatureStore(FeatureStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> EmbeddedFeatureStore:
        return EmbeddedFeatureStore(str(tmp_path / "online" / "features.sqlite"))


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedFeatureStore:
    return EmbeddedFeatureStore(str(tmp_path / "features.sqlite"))


@pytest.mark.parametrize(
    "view",
    [
        FeatureView('x"; DROP TABLE y; --', ("origin",), ("wind",), 1),
        FeatureView("sqlite_master", ("origin",), ("wind",), 1),
        FeatureView("weather_v1", ("origin) --",), ("wind",), 1),
        FeatureView("weather_v1", ("origin",), ("wind speed",), 1),
    ],
)
def test_name_that_sql_could_misread_is_refused(store: EmbeddedFeatureStore, view: FeatureView) -> None:
    with pytest.raises(ServiceError, match="has the name"):
        store.publish(view, [], START, "a")


def test_column_with_two_meanings_is_refused(store: EmbeddedFeatureStore) -> None:
    with pytest.raises(ServiceError, match="has origin twice"):
        store.publish(FeatureView("weather_v1", ("origin",), ("origin",), 1), [], START, "a")


def test_missing_column_is_named(store: EmbeddedFeatureStore) -> None:
    batch = rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "a"))[0].drop_columns(["sky"])
    with pytest.raises(ServiceError, match="weather_v1 has no column 'sky'"):
        store.publish(WEATHER, [batch], START, "a")


@pytest.mark.parametrize(
    ("column", "array"),
    [
        ("wind", pa.array([True])),
        ("wind", pa.array([START], pa.timestamp("us", "UTC"))),
        ("event_time", pa.array([START.replace(tzinfo=None)], pa.timestamp("us"))),
    ],
)
def test_type_that_would_come_back_as_another_is_refused(
    store: EmbeddedFeatureStore, column: str, array: pa.Array
) -> None:
    batch = rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "a"))[0]
    batch = batch.set_column(batch.schema.names.index(column), column, array)
    with pytest.raises(ServiceError, match=f"{column} of feature view weather_v1 is of type"):
        store.publish(WEATHER, [batch], START, "a")


@pytest.mark.parametrize(
    ("column", "array"),
    [
        ("event_time", pa.array([None], pa.timestamp("us", "UTC"))),
        ("known_at", pa.array([None], pa.timestamp("us", "UTC"))),
        ("wind", pa.array([2**64 - 1], pa.uint64())),
    ],
)
def test_value_that_cannot_be_kept_is_refused_and_nothing_replaced(
    store: EmbeddedFeatureStore, column: str, array: pa.Array
) -> None:
    batch = rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "a"))[0]
    store.publish(WEATHER, [batch], START, "a")
    with pytest.raises(ServiceError, match="a value that cannot be kept"):
        store.publish(WEATHER, [batch.set_column(batch.schema.names.index(column), column, array)], START, "b")
    assert store.look_up(LookUp(WEATHER, [("JFK",)], [at(1)]))[0].values == {"wind": 1.0, "sky": "a"}


def test_view_that_changed_is_not_there_until_it_is_published_again(store: EmbeddedFeatureStore) -> None:
    store.publish(WEATHER, rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "a")), START, "a")
    changed = FeatureView(WEATHER.name, WEATHER.entity, ("wind", "gust"), 6)
    assert store.published(changed) is None
    with pytest.raises(NotFoundError, match="with wind, gust is not in the online store"):
        store.look_up(LookUp(changed, [("JFK",)], [at(1)]))

    store.publish(changed, rows_of(changed, ("JFK", at(0), at(0), 1.0, 2.0)), START, "b")

    assert store.look_up(LookUp(changed, [("JFK",)], [at(1)]))[0].values == {"wind": 1.0, "gust": 2.0}


def test_reader_in_another_thread_sees_old_rows_until_the_new_ones_stand(store: EmbeddedFeatureStore) -> None:
    # given a publication that is half way through its rows
    store.publish(WEATHER, rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "old")), START, "a")
    seen: list[object] = []

    def read() -> None:
        seen.append(store.look_up(LookUp(WEATHER, [("JFK",)], [at(1)]))[0].values["sky"])

    def half_way() -> Iterator[pa.RecordBatch]:
        yield from rows_of(WEATHER, ("JFK", at(0), at(0), 2.0, "new"))
        reader = threading.Thread(target=read)
        reader.start()
        reader.join()

    # when it goes on to its end
    store.publish(WEATHER, half_way(), START, "b")
    read()
    # then a reader saw one or the other
    assert seen == ["old", "new"]


def test_the_store_writes_ahead(store: EmbeddedFeatureStore, tmp_path: Path) -> None:
    store.publish(WEATHER, rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "a")), START, "a")
    with closing(sqlite3.connect(tmp_path / "features.sqlite")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_look_up_needs_no_scan(store: EmbeddedFeatureStore, tmp_path: Path) -> None:
    store.publish(WEATHER, rows_of(WEATHER, ("JFK", at(0), at(0), 1.0, "a")), START, "a")
    connection = sqlite3.connect(tmp_path / "features.sqlite")
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT wind FROM weather_v1 WHERE origin = 'JFK' AND event_time BETWEEN 0 AND 9 "
        "AND known_at <= 9 ORDER BY event_time DESC, known_at DESC LIMIT 1"
    ).fetchall()
    connection.close()
    assert [line[-1] for line in plan] == [
        "SEARCH weather_v1 USING INDEX __as_of_weather_v1 (origin=? AND event_time>? AND event_time<?)"
    ]


def test_after_scrubbing_nothing_is_left_of_what_was_replaced(store: EmbeddedFeatureStore, tmp_path: Path) -> None:
    store.scrub()  # of a store that has no file yet
    view = FeatureView("plane_v1", ("tailnum",), ("seats",), 24)
    store.publish(view, rows_of(view, ("N14228", at(0), at(0), 149), ("N24211", at(0), at(0), 149)), START, "a")
    store.publish(view, rows_of(view, ("N24211", at(0), at(0), 149)), START, "b")
    store.scrub()
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (b"N24211" in held, b"N14228" in held) == (True, False)
    assert store.look_up(LookUp(view, [("N24211",)], [at(1)]))[0].values == {"seats": 149}
