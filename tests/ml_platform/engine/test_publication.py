from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine.publication import Published, publish
from ml_platform.errors import NotFoundError
from ml_platform.records.feature import FeatureView, LookUp
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.lakehouse import EmbeddedLakehouse

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
    assert publish(VIEW, location, at(1), store) == Published(2, changed=True)
    assert [wind(store, hour) for hour in (0, 1, 2)] == [None, 2.0, 3.0]


def test_the_same_rows_are_not_published_twice(store: EmbeddedFeatureStore, put: Any) -> None:
    location = put("features/weather_v1", rows(1.0, 2.0), "month").location
    publish(VIEW, location, at(0), store)
    assert publish(VIEW, location, at(0), store) == Published(2, changed=False)


def test_new_rows_and_a_new_moment_are_published(store: EmbeddedFeatureStore, put: Any) -> None:
    location = put("features/weather_v1", rows(1.0, 2.0), "month").location
    publish(VIEW, location, at(0), store)
    put("features/weather_v1", rows(1.0, 5.0), "month")
    assert publish(VIEW, location, at(0), store) == Published(2, changed=True)
    assert wind(store, 1) == 5.0
    assert publish(VIEW, location, at(1), store) == Published(1, changed=True)


def test_a_view_that_was_never_made_is_not_published(lakehouse: EmbeddedLakehouse, store: EmbeddedFeatureStore) -> None:
    with pytest.raises(NotFoundError, match="the table features/weather_v1 is not there"):
        publish(VIEW, lakehouse.table("features/weather_v1"), at(0), store)
    assert store.published(VIEW) is None
