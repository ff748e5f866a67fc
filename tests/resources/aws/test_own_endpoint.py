from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from accounts import stand_ins_only
from aws_hosts import host_in, rates, standing

from ml_platform.engine.package import digest
from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import EndpointSpec, TrafficSplit
from ml_platform.testing.endpoint_host import infer_request
from ml_platform.testing.stand_in import Cloud
from resources.aws.endpoint_host import AwsEndpointHost


@pytest.fixture
def host(place: dict[str, str]) -> Iterator[AwsEndpointHost]:
    host = host_in(place)
    yield host
    host.retire("arrival_delay")


def test_each_version_is_a_variant_that_answers_its_share(host: AwsEndpointHost, both: EndpointSpec) -> None:
    revision = host.deploy(both)
    assert revision.split == TrafficSplit({1: 0.25, 2: 0.75})
    assert revision.digests == {version: digest(Path(package)) for version, package in both.packages.items()}
    found = rates(host, 60)
    # Of 60 requests 45 go to version 2; that fewer than 30 or more than 58 do has a chance of less than 1 in 10,000.
    assert set(found) == {0.25, 0.75}
    assert 30 <= found.count(0.75) <= 58


def test_changed_split_of_the_same_versions_is_a_revision_of_the_same_servers(
    host: AwsEndpointHost, both: EndpointSpec, place: dict[str, str]
) -> None:
    assert host.deploy(both).number == 1
    assert host.deploy(both).number == 1
    made = standing(place)
    second = host.deploy(replace(both, split=TrafficSplit({1: 0.0, 2: 1.0})))
    assert (second.number, second.split) == (2, TrafficSplit({1: 0.0, 2: 1.0}))
    assert (host.describe(both.name), standing(place)) == (second, made)
    assert rates(host, 5) == [0.75] * 5
    host.retire(both.name)
    assert host.deploy(both).number == 3


@stand_ins_only("aws")
def test_traffic_that_did_not_move_is_told(host: AwsEndpointHost, both: EndpointSpec, cloud: Cloud) -> None:
    before = host.deploy(both)
    cloud.inject("rolled_back", 1)
    with pytest.raises(ServiceError, match="revision 2 of endpoint arrival_delay was deployed, but what serves is"):
        host.deploy(replace(both, split=TrafficSplit({1: 0.5, 2: 0.5})))
    found = host.describe(both.name)
    assert found is not None
    assert found.split == before.split
    assert host.deploy(replace(both, split=TrafficSplit({1: 0.5, 2: 0.5}))).number == 3


def test_version_that_is_named_is_answered_by_its_own_server(host: AwsEndpointHost, both: EndpointSpec) -> None:
    host.deploy(replace(both, split=TrafficSplit({1: 1.0, 2: 0.0})))
    named = infer_request("UA1", parameters={"model_version": "2"})
    assert host._own(both.name)._variant(named) == "v2"
    assert host._own(both.name)._variant(infer_request("UA1", parameters={"model_version": "9"})) == ""
    assert host.invoke(both.name, named)["outputs"][0]["data"] == [0.75]
