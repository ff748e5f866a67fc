from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.aws.testing.s3 import S3
from resources.databricks.testing.protocol import ApiError
from resources.databricks.testing.serving import Endpoints
from resources.databricks.testing.state import State


class _Models:
    def location(self, name: str, version: str) -> str:
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Registered model '{name}' does not exist.")


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    state = State(tmp_path, S3({}, {}))
    state.models = _Models()
    endpoints = Endpoints(state)
    yield endpoints
    endpoints.end()


def entity(name: str = "v1", **changes: object) -> dict[str, object]:
    model = {"entity_name": "ml.late.model", "entity_version": "1"}
    return {"name": name, **model, "workload_size": "Small", "scale_to_zero_enabled": False, **changes}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a b", "config": {}}, "not alphanumeric"),
        ({"name": "a", "config": {"served_entities": []}}, "1 to 10 served entities"),
        ({"name": "a", "config": {"served_entities": [entity(), entity()]}}, "a name of its own"),
        ({"name": "a", "config": {"served_entities": [entity(workload_size="Tiny")]}}, "workload_size"),
        ({"name": "a", "config": {"served_entities": [entity()]}}, "'ml.late.model' does not exist"),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(endpoints: Endpoints, given: dict[str, object], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        endpoints.create(given)
    with pytest.raises(ApiError, match="does not exist"):
        endpoints.get({"name": given["name"]})


@pytest.mark.parametrize("percents", [{"v1": 50}, {"v1": 60, "v2": 50}, {"v1": 100, "v3": 0}])
def test_traffic_is_of_the_endpoints_own_entities_and_whole(endpoints: Endpoints, percents: dict[str, int]) -> None:
    endpoints._state.models = type("Found", (), {"location": lambda *_: "s3://lake/x"})()
    routes = [{"served_model_name": name, "traffic_percentage": share} for name, share in percents.items()]
    config = {"served_entities": [entity("v1"), entity("v2")], "traffic_config": {"routes": routes}}
    with pytest.raises(ApiError, match="sum to 100"):
        endpoints.create({"name": "a", "config": config})
