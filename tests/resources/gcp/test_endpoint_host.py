from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.endpoint import EndpointSpec, TrafficSplit
from ml_platform.testing.endpoint_host import EndpointHostContract, infer_request, write_package
from resources.gcp.endpoint_host import GcpEndpointHost


@pytest.fixture
def host(account: Any) -> Iterator[GcpEndpointHost]:
    host = GcpEndpointHost(lookup="caller", **account.settings)
    yield host
    host.retire("arrival_delay")
    assert account.running() == []


@pytest.fixture
def spec(gcp_spec: EndpointSpec) -> EndpointSpec:
    return gcp_spec


@pytest.fixture
def both(spec: EndpointSpec, tmp_path: Path) -> Callable[[float], EndpointSpec]:
    """The endpoint of two versions, of which the second has that share."""
    second = write_package(tmp_path / "second", rate=0.75)
    packages = {**spec.packages, 2: str(second)}
    return lambda share: replace(spec, packages=packages, split=TrafficSplit({1: 1 - share, 2: share}))


class TestGcpEndpointHost(EndpointHostContract):
    @pytest.fixture
    def host(self, host: GcpEndpointHost) -> GcpEndpointHost:
        return host

    @pytest.fixture
    def spec(self, spec: EndpointSpec) -> EndpointSpec:
        return spec


def test_a_split_is_served_by_a_deployed_model_for_each_version(
    host: GcpEndpointHost, both: Callable[[float], EndpointSpec]
) -> None:
    wanted = both(0.25)
    revision = host.deploy(wanted)
    assert revision.split == wanted.split
    assert sorted(revision.digests) == [1, 2]
    answers = [host.invoke(wanted.name, infer_request("UA1")) for _ in range(40)]
    rates = {answer["model_version"]: answer["outputs"][0]["data"] for answer in answers}
    assert rates == {"1": [0.25], "2": [0.75]}
    assert host.deploy(wanted) == revision


def test_traffic_moves_between_the_servers_that_run(
    host: GcpEndpointHost, both: Callable[[float], EndpointSpec], account: Any
) -> None:
    names = []
    for number, share in enumerate((0.0, 0.25, 0.75, 1.0), 1):
        revision = host.deploy(both(share))
        assert (revision.number, revision.split) == (number, both(share).split)
        names.append(sorted(host._endpoint("arrival_delay").called()))
    first, second = f"{account.prefix}-arrival_delay-1-1", f"{account.prefix}-arrival_delay-2-2"
    # each version's server is started once; one without traffic has none
    assert names == [[first], [first, second], [first, second], [second]]
    assert host._numbers("arrival_delay") == [2, 3, 4]


def test_a_version_without_traffic_has_no_machine(
    host: GcpEndpointHost, both: Callable[[float], EndpointSpec], account: Any
) -> None:
    wanted = both(1.0)
    revision = host.deploy(wanted)
    assert revision.split == wanted.split
    (endpoint,) = account.vertex.endpoints.list_endpoints(
        request={"parent": account.vertex.parent, "filter": f'display_name="{account.prefix}-arrival_delay"'}
    )
    assert len(endpoint.deployed_models) == 1


def test_a_share_that_is_no_whole_percent_is_refused(
    host: GcpEndpointHost, both: Callable[[float], EndpointSpec]
) -> None:
    with pytest.raises(ServiceError, match=r"share of version 1 .* is 0\.995, but Vertex AI splits by percents"):
        host.deploy(both(0.005))
    assert host.describe("arrival_delay") is None


def test_only_the_current_revision_and_the_one_before_are_kept(
    host: GcpEndpointHost, spec: EndpointSpec, tmp_path: Path
) -> None:
    for number, rate in enumerate((0.25, 0.5, 0.75), 1):
        package = write_package(tmp_path / str(number), rate)
        host.deploy(replace(spec, packages={number: str(package)}, split=TrafficSplit({number: 1.0})))
    assert host._numbers(spec.name) == [2, 3]


def test_a_package_that_is_not_there_is_not_found(host: GcpEndpointHost, spec: EndpointSpec, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="package of version 1"):
        host.deploy(replace(spec, packages={1: str(tmp_path / "nowhere")}))
