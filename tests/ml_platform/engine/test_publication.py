from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine.publication import Published, online_since, publish
from ml_platform.errors import NotFoundError
from ml_platform.records.feature import FeatureView, LookUp
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.lakehouse import EmbeddedLakehouse

ALL, DIFFERING, NOTHING = "all of it", "what differs", "nothing"
VIEW = FeatureView("weather_v1", entity=("origin",), features=("wind",), ttl_hours=6)


def at(hour: int) -> datetime:
    return datetime(2013, 12, 30, hour, tzinfo=UTC)


def rows(*winds: float) -> pa.Table:
    times = pa.array([at(hour) for hour in range(len(winds))], pa.timestamp("us", "UTC"))
    months = ["2013-12"] * len(winds)
    columns = {"origin": ["JFK"] * len(winds), "event_time": times, "known_at": times, "wind": list(winds)}
    return pa.table({**columns, "extra": months, "month": months})


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedFeatureStore:
    return EmbeddedFeatureStore(str(tmp_path / "features.sqlite"))


def wind(store: EmbeddedFeatureStore, hour: int) -> object:
    return store.look_up(LookUp(VIEW, [("JFK",)], [at(hour)]))[0].values["wind"]


def test_a_table_is_published_as_it_stands(lakehouse: EmbeddedLakehouse, store: EmbeddedFeatureStore, put: Any) -> None:
    location = put("features/weather_v1", rows(1.0, 2.0, 3.0), "month").location
    assert publish(VIEW, location, at(1), store) == Published(2, ALL)
    assert [wind(store, hour) for hour in (0, 1, 2)] == [None, 2.0, 3.0]


def test_the_same_rows_are_not_published_twice(store: EmbeddedFeatureStore, put: Any) -> None:
    location = put("features/weather_v1", rows(1.0, 2.0), "month").location
    publish(VIEW, location, at(0), store)
    assert publish(VIEW, location, at(0), store) == Published(2, NOTHING)


def test_new_rows_and_a_new_moment_are_published(store: EmbeddedFeatureStore, put: Any) -> None:
    location = put("features/weather_v1", rows(1.0, 2.0), "month").location
    publish(VIEW, location, at(0), store)
    put("features/weather_v1", rows(1.0, 5.0), "month")
    assert publish(VIEW, location, at(0), store) == Published(2, DIFFERING)
    assert wind(store, 1) == 5.0
    assert publish(VIEW, location, at(1), store) == Published(1, DIFFERING)


def test_a_view_that_was_never_made_is_not_published(lakehouse: EmbeddedLakehouse, store: EmbeddedFeatureStore) -> None:
    with pytest.raises(NotFoundError, match="the table features/weather_v1 is not there"):
        publish(VIEW, lakehouse.table("features/weather_v1"), at(0), store)
    assert store.published(VIEW) is None


class Recording(EmbeddedFeatureStore):
    """A store that remembers the event times and winds of the rows that it was sent."""

    def revise(self, view: Any, gone: Any, come: Any, keep_from: datetime, version: str) -> int:
        self.gone, self.come = list(gone), list(come)
        return super().revise(view, self.gone, self.come, keep_from, version)


def told(batches: Any) -> list[tuple[int, float]]:
    return sorted((row["event_time"].hour, row["wind"]) for batch in batches for row in batch.to_pylist())


def test_only_rows_that_differ_are_sent(tmp_path: Path, put: Any) -> None:
    # given a view that was published with three rows
    store = Recording(str(tmp_path / "features.sqlite"))
    location = put("features/weather_v1", rows(1.0, 2.0, 3.0), "month").location
    publish(VIEW, location, at(0), store)
    # when the second is corrected and a fourth comes
    put("features/weather_v1", rows(1.0, 9.0, 3.0, 4.0), "month")
    assert publish(VIEW, location, at(0), store) == Published(4, DIFFERING)
    # then nothing else is sent, and the store is as if it had been filled anew
    assert told(store.gone) == [(1, 2.0)]
    assert told(store.come) == [(1, 9.0), (3, 4.0)]
    anew = EmbeddedFeatureStore(str(tmp_path / "anew.sqlite"))
    publish(VIEW, location, at(0), anew)
    assert (
        [wind(store, hour) for hour in range(5)] == [wind(anew, hour) for hour in range(5)] == [1.0, 9.0, 3.0, 4.0, 4.0]
    )


def test_all_is_sent_where_what_stood_cannot_be_read_or_more_is_to_be_kept(
    store: EmbeddedFeatureStore, put: Any
) -> None:
    before = put("features/weather_v1", rows(1.0, 2.0), "month")
    publish(VIEW, before.location, at(1), store)
    # when rows from an earlier moment on are to be kept, or a file of the version that stands is gone
    assert publish(VIEW, before.location, at(0), store) == Published(2, ALL)
    put("features/weather_v1", rows(1.0, 5.0), "month")
    for file in before.files:
        (Path(before.location.uri) / file.path).unlink()
    assert publish(VIEW, before.location, at(0), store) == Published(2, ALL)
    assert wind(store, 1) == 5.0


def test_what_was_published_under_a_name_of_another_form_is_replaced(store: EmbeddedFeatureStore, put: Any) -> None:
    location = put("features/weather_v1", rows(1.0, 2.0), "month").location
    store.publish(VIEW, [], at(0), f"abc from {at(0).isoformat()}")
    assert publish(VIEW, location, at(0), store) == Published(2, ALL)


def test_name_of_what_stands_online_says_from_when_on() -> None:
    assert online_since("3 aa from 2026-01-05T12:00:00+00:00") == datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert online_since("by another hand") is None
