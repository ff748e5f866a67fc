from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from accounts import stand_ins_only

from ml_platform.errors import ServiceError
from ml_platform.jobs.serving import bundle
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.testing.endpoint_host import endpoint_spec, write_package
from ml_platform.testing.stand_in import Cloud
from resources.aws.bucket import Bucket
from resources.aws.control_plane import ControlPlane
from resources.aws.hosted_endpoint import HostedEndpoint, Machine, Variant


@pytest.fixture
def variants(place: dict[str, str], tmp_path: Path) -> list[Variant]:
    """One variant, its bundle in the bucket."""
    nowhere = ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": "log"})
    spec = endpoint_spec({1: write_package(tmp_path / "package", rate=0.25)}, nowhere, nowhere)
    bundle.write(replace(spec, lookup="caller"), 1, tmp_path / "bundle")
    bucket = Bucket(place["bucket"], place["region"])
    bucket.upload(tmp_path / "bundle", f"{place['prefix']}/bundle")
    return [Variant(1, 1.0, bucket.uri(f"{place['prefix']}/bundle/"))]


@pytest.fixture
def machine(cloud: Cloud) -> Machine:
    return Machine(os.environ["ML_PLATFORM_IMAGE"], os.environ["ML_PLATFORM_AWS_ROLE"], "ml.m5.large")


def hosted(place: dict[str, str], wait_seconds: float = 3600.0) -> HostedEndpoint:
    return HostedEndpoint(f"{place['prefix']}-late", ControlPlane(place["prefix"], place["region"], 0.1, wait_seconds))


@pytest.fixture
def endpoint(place: dict[str, str]) -> Iterator[HostedEndpoint]:
    endpoint = hosted(place)
    yield endpoint
    endpoint.delete()
    assert endpoint.described() is None


def test_change_that_somebody_left_is_waited_for(
    endpoint: HostedEndpoint, variants: list[Variant], machine: Machine, place: dict[str, str]
) -> None:
    # given a creation whose caller has died
    endpoint._create_parts(1, variants, machine)
    endpoint._begin(f"{endpoint.name}-1", update=False)
    # when another changes the endpoint
    other = hosted(place)
    other.change(2, variants, machine)
    # then the change came after the creation
    found = other.described()
    assert found is not None
    assert (found["EndpointStatus"], other.number(found)) == ("InService", 2)


def test_change_that_does_not_settle_is_told(
    endpoint: HostedEndpoint, variants: list[Variant], machine: Machine, place: dict[str, str]
) -> None:
    with pytest.raises(ServiceError, match="is Creating after 0 seconds, but is to settle") as found:
        hosted(place, wait_seconds=0).change(1, variants, machine)
    assert "may stand still" in found.value.__notes__[0]


@stand_ins_only("aws")
def test_failed_endpoint_is_made_anew(
    endpoint: HostedEndpoint, variants: list[Variant], machine: Machine, cloud: Cloud
) -> None:
    # given an endpoint that failed, and was left so
    cloud.inject("unhealthy", 1)
    endpoint._create_parts(1, variants, machine)
    endpoint._begin(f"{endpoint.name}-1", update=False)
    found = endpoint.settled()
    assert found is not None
    assert found["EndpointStatus"] == "Failed"
    endpoint.change(2, variants, machine)
    found = endpoint.described()
    assert found is not None
    assert endpoint.number(found) == 2


def test_container_that_cannot_load_is_told_with_its_last_words(
    endpoint: HostedEndpoint, variants: list[Variant], machine: Machine, place: dict[str, str]
) -> None:
    bucket = Bucket(place["bucket"], place["region"])
    bucket.put_new(f"{place['prefix']}/empty/other.json", b"{}")
    broken = [replace(variants[0], source=bucket.uri(f"{place['prefix']}/empty/"))]
    with pytest.raises(ServiceError, match=r"did not pass the ping health check.*last words: .*endpoint\.json"):
        endpoint.change(1, broken, machine)
    client = boto3.client("sagemaker")
    assert client.list_models(NameContains=endpoint.name)["Models"] == []
    assert client.list_endpoint_configs(NameContains=endpoint.name)["EndpointConfigs"] == []
    client.close()


def test_call_whose_answer_was_lost_may_be_made_again(
    endpoint: HostedEndpoint, variants: list[Variant], machine: Machine
) -> None:
    endpoint._create_parts(1, variants, machine)
    endpoint._create_parts(1, variants, machine)
    for _ in range(2):
        endpoint._begin(f"{endpoint.name}-1", update=False)
    endpoint.settled()
    endpoint._create_parts(2, variants, machine)
    for _ in range(2):
        endpoint._begin(f"{endpoint.name}-2", update=True)
    found = endpoint.settled()
    assert found is not None
    assert endpoint.number(found) == 2
