from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from accounts import stand_ins_only

from ml_platform.errors import BindingError, ServiceError
from ml_platform.records.endpoint import EndpointSpec, TrafficSplit
from ml_platform.testing.endpoint_host import (
    EndpointHostContract,
    infer_request,
    write_package,
)
from ml_platform.testing.stand_in import Cloud
from resources.databricks.endpoint_host import DatabricksEndpointHost
from resources.databricks.prediction_log import DatabricksPredictionLog


class TestDatabricksEndpointHost(EndpointHostContract):
    @pytest.fixture
    def host(self, host: DatabricksEndpointHost) -> DatabricksEndpointHost:
        return host

    @pytest.fixture
    def spec(self, spec: EndpointSpec) -> EndpointSpec:
        return spec


@stand_ins_only("databricks")
def test_server_that_never_becomes_healthy_leaves_nothing_and_the_next_try_serves(
    host: DatabricksEndpointHost, spec: EndpointSpec, workspace: Cloud
) -> None:
    workspace.inject("unhealthy", 1)
    with pytest.raises(ServiceError, match="UPDATE_FAILED"):
        host.deploy(spec)
    assert host.describe(spec.name) is None
    assert host.deploy(spec).number == 1


@stand_ins_only("databricks")
def test_change_that_is_rolled_back_in_silence_is_an_error_and_what_served_serves_on(
    host: DatabricksEndpointHost, spec: EndpointSpec, workspace: Cloud, tmp_path: Path
) -> None:
    # given an endpoint that serves
    before = host.deploy(spec)
    package = write_package(tmp_path / "successor", rate=0.75)
    both = replace(spec, packages={**spec.packages, 2: str(package)}, split=TrafficSplit({1: 0.25, 2: 0.75}))
    # when its change ends well, but for what serves
    workspace.inject("rolled_back", 1)
    with pytest.raises(ServiceError, match="it is not what serves"):
        host.deploy(both)
    # then it is as it was, and the same change can be made
    assert host.describe(spec.name) == before
    after = host.deploy(both)
    assert (after.split, set(after.digests)) == (both.split, {1, 2})
    answers = [host.invoke(spec.name, infer_request("UA1"))["model_version"] for _ in range(20)]
    assert set(answers) == {"1", "2"}


def test_traffic_moves_between_the_servers_that_run(
    host: DatabricksEndpointHost, spec: EndpointSpec, tmp_path: Path
) -> None:
    package = write_package(tmp_path / "successor", rate=0.75)
    packages = {**spec.packages, 2: str(package)}
    served = []
    for number, share in enumerate((0.0, 0.25, 1.0), 1):
        both = replace(spec, packages=packages, split=TrafficSplit({1: 1 - share, 2: share}))
        revision = host.deploy(both)
        assert (revision.number, revision.split) == (number, both.split)
        served.append(host._endpoints.find(host._full(spec.name)).entities)  # type: ignore[union-attr]
    assert served[0] == served[1] == served[2]
    host.retire(spec.name)
    assert host.deploy(spec).number == 4


def test_served_predictions_are_in_the_log_with_the_callers_features(
    host: DatabricksEndpointHost, spec: EndpointSpec, catalog: str, prefix: str
) -> None:
    host.deploy(spec)
    host.invoke(spec.name, infer_request("UA1"))
    records, _ = DatabricksPredictionLog(catalog, prefix).since(spec.name, 0, 10)
    (record,) = records
    assert record.features == {"carrier": "UA", "wind": 10.0}
    assert (record.revision, record.model_version) == (1, 1)
    # the weather of an hour before the moment, and not the one known after it
    assert record.views["weather_v1"] == "2013-12-30T20:00:00+00:00"


def test_environments_do_not_see_each_other(
    host: DatabricksEndpointHost, spec: EndpointSpec, catalog: str, prefix: str
) -> None:
    host.deploy(spec)
    other = DatabricksEndpointHost(catalog, f"{prefix}-another", poll_seconds=0.2)
    assert other.describe(spec.name) is None
    other.retire(spec.name)
    assert host.describe(spec.name) is not None


def test_secret_that_is_no_reference_is_refused_and_never_quoted() -> None:
    with pytest.raises(BindingError, match=r"endpoint_host\.environment\.DATABRICKS_TOKEN is no reference") as refused:
        DatabricksEndpointHost("ml", "test", environment={"DATABRICKS_TOKEN": "canary"})
    assert "canary" not in str(refused.value)


def test_share_that_routes_cannot_have_is_refused(host: DatabricksEndpointHost, spec: EndpointSpec) -> None:
    split = TrafficSplit({1: 0.995, 2: 0.005})
    with pytest.raises(ServiceError, match="routes have whole percents"):
        host.deploy(replace(spec, packages={**spec.packages, 2: spec.packages[1]}, split=split))
