from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from accounts import stand_ins_only
from aws_hosts import host_in, rates, standing

from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import EndpointSpec, TrafficSplit
from ml_platform.testing.endpoint_host import (
    EndpointHostContract,
    infer_request,
    write_package,
)
from ml_platform.testing.stand_in import Cloud
from resources.aws.endpoint_host import AwsEndpointHost
from resources.aws.prediction_log import AwsPredictionLog


@pytest.fixture
def host(place: dict[str, str]) -> Iterator[AwsEndpointHost]:
    host = host_in(place)
    yield host
    host.retire("arrival_delay")


class TestAwsEndpointHost(EndpointHostContract):
    @pytest.fixture
    def host(self, host: AwsEndpointHost) -> AwsEndpointHost:
        return host

    @pytest.fixture
    def spec(self, spec: EndpointSpec) -> EndpointSpec:
        return spec


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
