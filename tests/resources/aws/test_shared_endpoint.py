from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from accounts import stand_ins_only
from aws_hosts import host_in, rates

from ml_platform.engine.package import digest
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.endpoint import EndpointSpec, TrafficSplit
from ml_platform.records.job import Needs
from ml_platform.testing.endpoint_host import EndpointHostContract, infer_request, write_package
from ml_platform.testing.stand_in import Cloud
from resources.aws.endpoint_host import AwsEndpointHost
from resources.aws.instances import DEFAULT
from resources.aws.inventory import AwsInventory
from resources.aws.shared_endpoint import require_fit


@pytest.fixture
def host(place: dict[str, str]) -> Iterator[AwsEndpointHost]:
    host = host_in(place)
    yield host
    for name in ("arrival_delay", "second"):
        host.retire(name)
    assert standing(place) == {"endpoints": [], "components": [], "models": []}


@pytest.fixture
def grouped(spec: EndpointSpec) -> EndpointSpec:
    return replace(spec, group="flights", needs=Needs(cpu=0.5, memory_gib=1))


@pytest.fixture
def second(grouped: EndpointSpec, tmp_path: Path) -> EndpointSpec:
    """Another endpoint of the group, which answers 0.75."""
    return replace(grouped, name="second", packages={1: str(write_package(tmp_path / "second", rate=0.75))})


def standing(place: dict[str, str]) -> dict[str, list[str]]:
    """What is there of the environment."""
    client = boto3.client("sagemaker")
    mine = {"NameContains": place["prefix"]}
    found = {
        "endpoints": [one["EndpointName"] for one in client.list_endpoints(**mine)["Endpoints"]],
        "components": [
            one["InferenceComponentName"] for one in client.list_inference_components(**mine)["InferenceComponents"]
        ],
        "models": [one["ModelName"] for one in client.list_models(**mine)["Models"]],
    }
    client.close()
    return found


class TestAwsSharedEndpoint(EndpointHostContract):
    @pytest.fixture
    def host(self, host: AwsEndpointHost) -> AwsEndpointHost:
        return host

    @pytest.fixture
    def spec(self, grouped: EndpointSpec) -> EndpointSpec:
        return grouped


def test_endpoints_of_a_group_are_components_of_one_endpoint_and_the_last_takes_it_along(
    host: AwsEndpointHost, grouped: EndpointSpec, second: EndpointSpec, place: dict[str, str]
) -> None:
    first, other = host.deploy(grouped), host.deploy(second)
    assert first.url == other.url
    found = standing(place)
    assert (len(found["endpoints"]), len(found["components"])) == (1, 2)
    assert (rates(host, 2), rates(host, 2, "second")) == ([0.25] * 2, [0.75] * 2)
    assert (host.deploy(grouped), host.describe("second")) == (first, other)
    inventory = AwsInventory(place["prefix"], place["region"], poll_seconds=0.1)
    listed = inventory.found(["arrival_delay", "second"])
    assert [(one.kind, one.name) for one in listed] == [("endpoint", "arrival_delay"), ("endpoint", "second")]
    host.retire("arrival_delay")
    assert host.describe("arrival_delay") is None
    with pytest.raises(NotFoundError, match="endpoint arrival_delay is not served"):
        rates(host, 1)
    assert rates(host, 1, "second") == [0.75]
    inventory.remove(listed[1])
    assert (inventory.found([]), standing(place)["endpoints"]) == ([], [])


def test_one_of_a_group_is_swapped_while_the_others_answer_without_a_failure(
    host: AwsEndpointHost, grouped: EndpointSpec, second: EndpointSpec, place: dict[str, str], tmp_path: Path
) -> None:
    host.deploy(grouped)
    host.deploy(second)
    other, stop, answers = host_in(place), threading.Event(), list[float]()

    def ask() -> None:
        while not stop.is_set():
            answers.extend(rates(other, 1, "second") + rates(other, 1))

    asking = threading.Thread(target=ask)
    asking.start()
    packages = {2: str(write_package(tmp_path / "new", rate=0.5))}
    new = host.deploy(replace(grouped, packages=packages, split=TrafficSplit({2: 1.0})))
    stop.set()
    asking.join()
    assert new.digests == {2: digest(Path(packages[2]))}
    assert len(answers) >= 4
    assert set(answers[0::2]) == {0.75}
    assert set(answers[1::2]) <= {0.25, 0.5}
    assert rates(host, 2) == [0.5, 0.5]


def test_split_goes_by_the_requests_key(host: AwsEndpointHost, grouped: EndpointSpec, tmp_path: Path) -> None:
    packages = {**grouped.packages, 2: str(write_package(tmp_path / "second", rate=0.75))}
    host.deploy(replace(grouped, packages=packages, split=TrafficSplit({1: 0.5, 2: 0.5})))
    keys = [f"UA{number}" for number in range(16)]

    def answers() -> list[float]:
        return [host.invoke(grouped.name, infer_request(key))["outputs"][0]["data"][0] for key in keys]

    found = answers()
    assert set(found) == {0.25, 0.75}
    assert answers() == found


def test_endpoint_joins_and_leaves_a_group_and_serves_by_one_of_both_only(
    host: AwsEndpointHost, grouped: EndpointSpec, place: dict[str, str]
) -> None:
    alone = host.deploy(replace(grouped, group=""))
    joined = host.deploy(grouped)
    assert (joined.number, joined.url == alone.url) == (2, False)
    found = standing(place)
    assert [len(found[kind]) for kind in ("endpoints", "components", "models")] == [1, 1, 1]
    assert rates(host, 1) == [0.25]
    moved = host.deploy(replace(grouped, group="others"))
    assert (moved.number, moved.url == joined.url) == (4, False)
    assert [len(found) for found in standing(place).values()] == [1, 1, 1]
    left = host.deploy(replace(grouped, group=""))
    assert (left.number, left.url) == (5, alone.url)
    assert [len(found) for found in standing(place).values()] == [1, 0, 1]
    assert rates(host, 1) == [0.25]


@stand_ins_only("aws")
@pytest.mark.parametrize(("fault", "words"), [("rolled_back", "rolled back"), ("unhealthy", "ping health check")])
def test_component_that_does_not_come_up_leaves_what_served(
    host: AwsEndpointHost,
    grouped: EndpointSpec,
    place: dict[str, str],
    cloud: Cloud,
    tmp_path: Path,
    fault: Any,
    words: str,
) -> None:
    before, made = host.deploy(grouped), standing(place)
    new = replace(grouped, packages={2: str(write_package(tmp_path / "new", rate=0.5))}, split=TrafficSplit({2: 1.0}))
    cloud.inject(fault, 1)
    with pytest.raises(ServiceError, match=f"is back at model 1, but was to serve model 2: .*{words}"):
        host.deploy(new)
    assert (host.describe(grouped.name), standing(place), rates(host, 1)) == (before, made, [0.25])
    assert host.deploy(new).number == 3


@stand_ins_only("aws")
def test_update_that_ends_as_failed_leaves_what_answers_still(
    host: AwsEndpointHost, grouped: EndpointSpec, place: dict[str, str], cloud: Cloud, tmp_path: Path
) -> None:
    before = host.deploy(grouped)
    new = replace(grouped, packages={2: str(write_package(tmp_path / "new", rate=0.5))}, split=TrafficSplit({2: 1.0}))
    cloud.inject("update_failed", 1)
    with pytest.raises(ServiceError, match=r"is Failed, but was to serve model 2: The update failed"):
        host.deploy(new)
    assert (host.describe(grouped.name), rates(host_in(place), 1)) == (before, [0.25])
    # then the next deployment makes anew what takes no update
    assert host.deploy(new).digests == {2: digest(Path(new.packages[2]))}
    assert rates(host, 1) == [0.5]


def test_whoever_asks_finds_an_endpoint_that_somebody_else_moves(
    host: AwsEndpointHost, grouped: EndpointSpec, place: dict[str, str]
) -> None:
    other = host_in(place)
    for spec in (grouped, replace(grouped, group="")):
        host.deploy(spec)
        assert rates(other, 1) == [0.25]
    host.retire(grouped.name)
    with pytest.raises(NotFoundError, match="is not served"):
        rates(other, 1)


def test_group_that_the_last_took_along_meanwhile_is_made_again(
    host: AwsEndpointHost, grouped: EndpointSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a group that goes between the look at it and the component
    group, upload = host._group("flights"), host._revisions.upload

    def leaves(*asked: Any) -> dict[str, str]:
        group.delete_if_empty()
        assert not group.stands()
        return upload(*asked)

    monkeypatch.setattr(host._revisions, "upload", leaves)
    assert (host.deploy(grouped).number, rates(host, 1)) == (1, [0.25])


@stand_ins_only("aws")
def test_first_component_that_does_not_come_up_leaves_nothing(
    host: AwsEndpointHost, grouped: EndpointSpec, place: dict[str, str], cloud: Cloud
) -> None:
    cloud.inject("rolled_back", 1)
    with pytest.raises(ServiceError, match="is Failed, but was to serve model 1"):
        host.deploy(grouped)
    assert standing(place) == {"endpoints": [], "components": [], "models": []}


def test_deployment_that_was_left_half_way_is_taken_up(
    host: AwsEndpointHost, grouped: EndpointSpec, place: dict[str, str]
) -> None:
    # given both, as a killed run leaves them that was to join a group
    host.deploy(replace(grouped, group=""))
    called = replace(grouped, lookup="caller")
    host._shared(grouped.name).deploy(called, host._group("flights"), host._machine(grouped), host._machines)
    assert [len(found) for found in standing(place).values()] == [2, 1, 2]
    # then what is asked is the component, and the next deployment ends what is left of the other
    assert host.describe(grouped.name) == host_in(place).deploy(grouped)
    assert [len(found) for found in standing(place).values()] == [1, 1, 1]


@stand_ins_only("aws")
def test_group_without_room_refuses_the_endpoint_and_the_others_go_on(
    place: dict[str, str], grouped: EndpointSpec, second: EndpointSpec
) -> None:
    host = host_in(place, group_machines=1)
    host.deploy(replace(grouped, needs=Needs(cpu=1.5, memory_gib=4)))
    with pytest.raises(ServiceError, match="could not be placed"):
        host.deploy(replace(second, needs=Needs(cpu=1, memory_gib=4)))
    assert (rates(host, 1), host.describe("second")) == ([0.25], None)
    host.retire("arrival_delay")


@pytest.mark.parametrize("needs", [Needs(4, 2), Needs(1, 16), Needs(1, 2, "a10g")])
def test_endpoint_that_no_machine_of_the_group_holds_is_refused(needs: Needs, spec: EndpointSpec) -> None:
    with pytest.raises(ServiceError, match=r"but group flights runs on ml\.m5\.large"):
        require_fit(replace(spec, group="flights", needs=needs), "ml.m5.large", DEFAULT)
    require_fit(replace(spec, group="flights", needs=Needs(2, 8)), "ml.m5.large", DEFAULT)
