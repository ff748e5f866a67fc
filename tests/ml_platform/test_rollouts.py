from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from ml_platform.binding import Binding, bindings
from ml_platform.errors import DeclarationError
from ml_platform.rollouts import require_hosted, rollouts
from resources.aws.endpoint_host import AwsEndpointHost


def endpoint(**told: Any) -> dg.AssetSpec:
    plan = {"steps": [1.0], "soak_minutes": 0.0, "shadow": False, "guards": {}, **told}
    places = {name: f"assets/endpoints/x/defs.yaml:{line}" for line, name in enumerate(("steps", "shadow"), 7)}
    return dg.AssetSpec(["endpoints", "x"], metadata={"rollout": {**plan, "places": places}})


def bound(service: str) -> dict[str, Binding]:
    return {**bindings(), "endpoint_host": Binding("endpoint_host", service, {})}


@pytest.mark.parametrize("service", ["gcp", "databricks"])
def test_share_that_a_host_cannot_give_is_refused_by_line_with_what_would_work(service: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        require_hosted([endpoint(steps=[0.005, 0.07, 1.0])], bound(service))
    assert str(refused.value) == (
        "assets/endpoints/x/defs.yaml:7: rollout.steps is [0.005, 0.07, 1.0], but the endpoint_host is "
        f"{service}, which does not have shares of traffic that are no whole percents. "
        "What would work: endpoint_host.service: aws, embedded. Take steps of whole percents."
    )
    require_hosted([endpoint(steps=[0.07, 0.57, 1.0])], bound(service))


@pytest.mark.parametrize("service", ["embedded", "aws", "gcp", "databricks"])
def test_every_host_takes_shadows_and_steps_of_percents(service: str) -> None:
    require_hosted([endpoint(steps=[0.05, 0.5, 1.0], shadow=True)], bound(service))


@pytest.mark.parametrize(
    ("capability", "told", "line"),
    [("shadow", {"shadow": True}, 8), ("idle", {"steps": [0.5, 1.0]}, 7), ("idle", {"shadow": True}, 7)],
)
def test_what_a_host_says_that_it_cannot_is_refused(
    monkeypatch: pytest.MonkeyPatch, capability: str, told: dict[str, Any], line: int
) -> None:
    monkeypatch.setattr(AwsEndpointHost, "CANNOT", frozenset({capability}))
    with pytest.raises(DeclarationError, match=rf"defs\.yaml:{line}: rollout\..*the endpoint_host is aws.*would work"):
        require_hosted([endpoint(**told)], bound("aws"))
    require_hosted([endpoint()], bound("aws"))


def test_any_share_will_do_where_the_host_can() -> None:
    for service in ("embedded", "aws"):
        require_hosted([endpoint(steps=[0.001, 1.0])], bound(service))


def test_without_an_endpoint_there_is_nothing_to_roll_out() -> None:
    found = rollouts([dg.AssetSpec("another")], bindings())
    assert (found.jobs, found.sensors) == (None, None) or not (found.jobs or found.sensors)


def test_an_endpoint_brings_the_job_and_the_sensor() -> None:
    found = rollouts([endpoint()], bindings())
    assert [job.name for job in found.jobs or ()] == ["rollout"]
    assert [sensor.name for sensor in found.sensors or ()] == ["rollouts"]
