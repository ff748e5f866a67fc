from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from ml_platform.engine.caller import filled
from ml_platform.jobs.serving.protocol import read_request
from ml_platform.jobs.serving.tensors import RequestError
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.testing.endpoint_host import endpoint_spec, infer_request, publish_views
from resources.embedded.feature_store import EmbeddedFeatureStore

TAKES = {"carrier": "category", "wind": "number", "plan_v1.event_time": "string", "weather_v1.event_time": "string"}


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedFeatureStore:
    store = EmbeddedFeatureStore(str(tmp_path / "features.sqlite"))
    publish_views(store)
    return store


@pytest.fixture
def spec(tmp_path: Path) -> EndpointSpec:
    nothing = ServiceBinding("none", "None")
    return endpoint_spec({1: tmp_path}, nothing, nothing)


def test_a_request_carries_what_was_known_at_its_moment(spec: EndpointSpec, store: EmbeddedFeatureStore) -> None:
    complete = filled(spec, TAKES, store, infer_request("UA1", "nobody", id="mine"))
    read = read_request(orjson.dumps(complete), spec.request, TAKES)
    assert read.id == "mine"
    assert read.looked_up == {
        "carrier": ["UA", None],
        "wind": [10.0, None],
        "plan_v1.event_time": ["2013-11-30T21:00:00+00:00", None],
        "weather_v1.event_time": ["2013-12-30T20:00:00+00:00", None],
    }


def test_a_request_that_is_none_is_refused_before_anything_is_looked_up(
    spec: EndpointSpec, store: EmbeddedFeatureStore
) -> None:
    with pytest.raises(RequestError, match="input 'event_time' is"):
        filled(spec, TAKES, store, infer_request("UA1", moment="yesterday"))
