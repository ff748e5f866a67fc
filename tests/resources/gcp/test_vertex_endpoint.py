from __future__ import annotations

from typing import Any

import pytest
from accounts import stand_ins_only

from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import EndpointSpec
from resources.gcp.endpoint_host import GcpEndpointHost
from resources.gcp.vertex_endpoint import Served, VertexEndpoint

NAME = "arrival_delay"


@pytest.fixture
def endpoint(account: Any) -> VertexEndpoint:
    return VertexEndpoint(account.vertex, account.prefix, NAME, poll_seconds=0.1, wait_seconds=600)


@pytest.fixture
def deployed(account: Any, gcp_spec: EndpointSpec) -> Served:
    """What the revision that was just deployed is served from, and the endpoint's clean-up of it afterwards."""
    GcpEndpointHost(lookup="caller", **account.settings).deploy(gcp_spec)
    bundle = f"gs://{account.place['bucket']}/{account.prefix}/endpoints/{NAME}/1/1"
    return Served(account.settings["image"], bundle, {"machine_type": "e2-standard-4"}, "")


@stand_ins_only("gcp")
def test_a_deployment_that_fails_leaves_no_endpoint_and_no_model(
    account: Any, endpoint: VertexEndpoint, gcp_spec: EndpointSpec
) -> None:
    account.cloud.inject("unhealthy", 1)
    with pytest.raises(ServiceError, match="never became ready"):
        GcpEndpointHost(lookup="caller", **account.settings).deploy(gcp_spec)
    assert endpoint.find() is None
    assert account.running() == []


def test_what_has_no_traffic_is_found_and_gone_once_the_sweep_is_over(
    account: Any, endpoint: VertexEndpoint, deployed: Served
) -> None:
    # given a deployed model that a run which died has left without traffic
    before = endpoint.traffic()
    left = endpoint.deploy("arrival_delay-9-1", deployed)
    assert left not in before
    # when
    endpoint.sweep()
    # then its deletion was waited for, and what has traffic is untouched
    found = endpoint.find()
    assert found is not None
    assert [one.id for one in found.deployed_models] == list(before)
    assert len([name for name in account.running() if "/models/" in name]) == 1
    endpoint.delete()
    assert account.running() == []


def test_several_deployed_models_with_traffic_are_deleted(
    account: Any, endpoint: VertexEndpoint, deployed: Served
) -> None:
    (first,) = endpoint.traffic()
    second = endpoint.deploy("arrival_delay-9-1", deployed)
    endpoint.route({first: 30, second: 70}, 9)
    assert (endpoint.traffic(), endpoint.revision()) == ({first: 30, second: 70}, 9)
    endpoint.delete()
    endpoint.delete()
    assert account.running() == []


def test_an_endpoint_without_our_labels_is_not_adopted(account: Any, endpoint: VertexEndpoint) -> None:
    parent, _, endpoint_id = endpoint.resource.partition("/endpoints/")
    theirs = {"display_name": "theirs", "labels": {"team": "other"}}
    made = account.vertex.endpoints.create_endpoint(
        request={"parent": parent, "endpoint": theirs, "endpoint_id": endpoint_id}
    ).result()
    for change in (endpoint.create, endpoint.sweep, endpoint.delete, endpoint.traffic):
        with pytest.raises(ServiceError, match="without the labels of endpoint arrival_delay"):
            change()
    account.vertex.endpoints.delete_endpoint(name=made.name).result()


def test_an_endpoint_of_ours_is_adopted(endpoint: VertexEndpoint) -> None:
    endpoint.create()
    endpoint.create()
    assert endpoint.traffic() == {}
    endpoint.delete()
    assert endpoint.find() is None
