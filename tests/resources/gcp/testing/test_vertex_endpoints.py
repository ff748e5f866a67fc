from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions

from ml_platform.records.endpoint import EndpointSpec
from resources.gcp.endpoint_host import GcpEndpointHost
from resources.gcp.sdk import Vertex

DEDICATED = {"machine_spec": {"machine_type": "e2-standard-4"}, "min_replica_count": 1}


@pytest.fixture
def endpoint(account: Any, gcp_spec: EndpointSpec) -> Iterator[str]:
    """The resource name of an endpoint with one deployed model, which has all of the traffic."""
    host = GcpEndpointHost(lookup="caller", **account.settings)
    yield host.deploy(gcp_spec).url
    host.retire(gcp_spec.name)


def calls(vertex: Vertex, endpoint: str) -> list[tuple[Callable[[], Any], str]]:
    """Calls that are wrong, and what the service says of each."""
    api = vertex.endpoints
    (deployed,) = api.get_endpoint(name=endpoint).deployed_models
    mask = {"paths": ["traffic_split"]}

    def routed(split: dict[str, int]) -> Callable[[], Any]:
        return lambda: api.update_endpoint(endpoint={"name": endpoint, "traffic_split": split}, update_mask=mask)

    def deploy(**of: Any) -> Callable[[], Any]:
        return lambda: api.deploy_model(endpoint=endpoint, deployed_model={"model": deployed.model, **of})

    return [
        (routed({deployed.id: 99}), "add up to 100"),
        (routed({"7": 100}), r"names \['7'\], which is not deployed"),
        (deploy(), "dedicated_resources is required"),
        (deploy(dedicated_resources={"machine_spec": {"machine_type": "x"}}), "not supported"),
        (deploy(model=f"{vertex.parent}/models/7", dedicated_resources=DEDICATED), "is not found"),
        (lambda: api.delete_endpoint(name=endpoint), "has deployed models"),
        (lambda: vertex.models.delete_model(name=deployed.model), "is deployed"),
        (lambda: api.undeploy_model(endpoint=endpoint, deployed_model_id="7"), "is not found"),
        (
            lambda: api.update_endpoint(endpoint={"name": endpoint}, update_mask={"paths": ["deployed_models"]}),
            "update_mask cannot have",
        ),
    ]


def test_what_would_break_an_endpoint_is_refused(account: Any, endpoint: str) -> None:
    before = account.vertex.endpoints.get_endpoint(name=endpoint)
    for call, message in calls(account.vertex, endpoint):
        with pytest.raises(exceptions.GoogleAPICallError, match=message):
            call()
    assert account.vertex.endpoints.get_endpoint(name=endpoint) == before


def test_a_model_with_traffic_is_not_undeployed_while_there_are_others(account: Any, endpoint: str) -> None:
    api = account.vertex.endpoints
    (first,) = api.get_endpoint(name=endpoint).deployed_models
    second = {"model": first.model, "dedicated_resources": DEDICATED}
    new = api.deploy_model(endpoint=endpoint, deployed_model=second, traffic_split={first.id: 40, "0": 60}).result()
    assert dict(api.get_endpoint(name=endpoint).traffic_split) == {first.id: 40, new.deployed_model.id: 60}
    with pytest.raises(exceptions.BadRequest, match="has traffic"):
        api.undeploy_model(endpoint=endpoint, deployed_model_id=first.id)
    all_of_it = {new.deployed_model.id: 100}
    api.undeploy_model(endpoint=endpoint, deployed_model_id=first.id, traffic_split=all_of_it).result()
    assert dict(api.get_endpoint(name=endpoint).traffic_split) == all_of_it


def test_an_endpoint_without_traffic_predicts_nothing(vertex: Vertex) -> None:
    empty = vertex.endpoints.create_endpoint(parent=vertex.parent, endpoint={"display_name": "e"}).result()
    with pytest.raises(exceptions.BadRequest, match="has no traffic_split"):
        vertex.predictions.predict(endpoint=empty.name, instances=[])


def test_labels_are_changed_by_their_mask_and_nothing_else_is(vertex: Vertex) -> None:
    api = vertex.endpoints
    name = api.create_endpoint(parent=vertex.parent, endpoint={"display_name": "e", "labels": {"a": "1"}}).result().name
    change = {"name": name, "display_name": "other", "labels": {"b": "2"}}
    changed = api.update_endpoint(endpoint=change, update_mask={"paths": ["labels"]})
    assert (changed.display_name, dict(changed.labels)) == ("e", {"b": "2"})


def test_an_update_can_be_told_to_roll_back_in_silence(account: Any, endpoint: str) -> None:
    api = account.vertex.endpoints
    (first,) = api.get_endpoint(name=endpoint).deployed_models
    second = {"model": first.model, "dedicated_resources": DEDICATED}
    account.cloud.inject("rolled_back", 1)
    api.deploy_model(endpoint=endpoint, deployed_model=second, traffic_split={"0": 100, first.id: 0}).result()
    assert dict(api.get_endpoint(name=endpoint).traffic_split) == {first.id: 100}
