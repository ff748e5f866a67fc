from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from accounts import stand_ins_only

from ml_platform.engine.package import digest
from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.testing.endpoint_host import (
    EndpointHostContract,
    endpoint_spec,
    infer_request,
    publish_views,
    write_package,
)
from ml_platform.testing.stand_in import Cloud
from resources.aws.endpoint_host import AwsEndpointHost
from resources.aws.prediction_log import AwsPredictionLog
from resources.embedded.feature_store import EmbeddedFeatureStore


def host_in(place: dict[str, str], **settings: Any) -> AwsEndpointHost:
    image, role = os.environ["ML_PLATFORM_IMAGE"], os.environ["ML_PLATFORM_AWS_ROLE"]
    return AwsEndpointHost(image, role, **place, lookup="caller", **{"poll_seconds": 0.1, **settings})


@pytest.fixture
def host(place: dict[str, str]) -> Iterator[AwsEndpointHost]:
    host = host_in(place)
    yield host
    host.retire("arrival_delay")


@pytest.fixture
def spec(place: dict[str, str], tmp_path: Path) -> EndpointSpec:
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    return endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.aws.prediction_log", "AwsPredictionLog", place),
    )


class TestAwsEndpointHost(EndpointHostContract):
    @pytest.fixture
    def host(self, host: AwsEndpointHost) -> AwsEndpointHost:
        return host

    @pytest.fixture
    def spec(self, spec: EndpointSpec) -> EndpointSpec:
        return spec


@pytest.fixture
def both(spec: EndpointSpec, tmp_path: Path) -> EndpointSpec:
    """The endpoint with versions 1 and 2, which answer 0.25 and 0.75, to a quarter and three quarters."""
    packages = {**spec.packages, 2: str(write_package(tmp_path / "second", rate=0.75))}
    return replace(spec, packages=packages, split=TrafficSplit({1: 0.25, 2: 0.75}))


def rates(host: AwsEndpointHost, count: int) -> list[float]:
    return [host.invoke("arrival_delay", infer_request("UA1"))["outputs"][0]["data"][0] for _ in range(count)]


def standing(place: dict[str, str]) -> list[str]:
    """Configurations and models of the environment."""
    client = boto3.client("sagemaker")
    mine = {"NameContains": place["prefix"]}
    configs = [found["EndpointConfigName"] for found in client.list_endpoint_configs(**mine)["EndpointConfigs"]]
    models = [found["ModelName"] for found in client.list_models(**mine)["Models"]]
    client.close()
    return sorted([*configs, *models])


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
    assert host._variant(both.name, named) == "v2"
    assert host._variant(both.name, infer_request("UA1", parameters={"model_version": "9"})) == ""
    assert host.invoke(both.name, named)["outputs"][0]["data"] == [0.75]


def test_current_and_previous_configuration_are_kept_and_no_older_one(
    host: AwsEndpointHost, spec: EndpointSpec, place: dict[str, str], tmp_path: Path
) -> None:
    for version in (1, 2, 3):
        package = write_package(tmp_path / f"version-{version}", rate=version / 10)
        host.deploy(replace(spec, packages={version: str(package)}, split=TrafficSplit({version: 1.0})))
    made = [re.sub(r"^.*?-[0-9a-f]{8}-", "", name) for name in standing(place)]
    assert made == ["2", "2-v2", "3", "3-v3"]
    host.retire(spec.name)
    assert standing(place) == []


@stand_ins_only("aws")
def test_silent_roll_back_is_told_and_deletes_nothing_that_serves(
    host: AwsEndpointHost, spec: EndpointSpec, both: EndpointSpec, place: dict[str, str], cloud: Cloud
) -> None:
    before = host.deploy(spec)
    made = standing(place)
    cloud.inject("rolled_back", 1)
    with pytest.raises(ServiceError, match="is back at configuration 1, but was to serve configuration 2"):
        host.deploy(both)
    assert host.describe(spec.name) == before
    assert standing(place) == made


def test_environments_have_endpoints_of_their_own(place: dict[str, str], spec: EndpointSpec) -> None:
    dev, prod = (host_in({**place, "prefix": f"{place['prefix']}-{name}"}) for name in ("dev-1", "prod"))
    dev.deploy(spec)
    assert prod.describe(spec.name) is None
    prod.retire(spec.name)
    assert dev.describe(spec.name) is not None
    dev.retire(spec.name)


def test_endpoint_of_our_name_that_somebody_else_made_is_not_touched(
    host: AwsEndpointHost, spec: EndpointSpec, place: dict[str, str]
) -> None:
    host.deploy(spec)
    client = boto3.client("sagemaker")
    (found,) = client.list_endpoints(NameContains=place["prefix"])["Endpoints"]
    tag = {"Key": "ml_platform_environment", "Value": "theirs"}
    client.add_tags(ResourceArn=found["EndpointArn"], Tags=[tag])
    for touch in (lambda: host.deploy(spec), lambda: host.retire(spec.name)):
        with pytest.raises(ServiceError, match="It is somebody else's"):
            touch()
    client.add_tags(ResourceArn=found["EndpointArn"], Tags=[{**tag, "Value": place["prefix"]}])
    client.close()


def test_what_one_host_deploys_another_finds_and_asks(
    host: AwsEndpointHost, spec: EndpointSpec, place: dict[str, str]
) -> None:
    revision = host.deploy(spec)
    other = host_in(place)
    assert other.describe(spec.name) == revision
    assert other.deploy(spec) == revision
    assert rates(other, 1) == [0.25]


def test_answered_request_stands_in_the_log_with_its_features(
    host: AwsEndpointHost, spec: EndpointSpec, place: dict[str, str]
) -> None:
    host.deploy(spec)
    host.invoke(spec.name, infer_request("UA1"))
    (record,), _ = AwsPredictionLog(**place).since(spec.name, 0, 10)
    assert record.features == {"carrier": "UA", "wind": 10.0}
    assert record.views["weather_v1"] == "2013-12-30T20:00:00+00:00"
