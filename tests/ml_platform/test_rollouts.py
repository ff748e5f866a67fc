from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_platform.binding import Binding, bindings, build
from ml_platform.engine.rollout import State
from ml_platform.engine.rollout_log import Entry, RolloutLog
from ml_platform.engine.terms import Terms
from ml_platform.errors import DeclarationError
from ml_platform.rollouts import _next, require_hosted, rollouts
from resources.aws.endpoint_host import AwsEndpointHost
from resources.embedded.lakehouse import EmbeddedLakehouse


def endpoint(name: str = "x", **told: Any) -> dg.AssetSpec:
    plan = {"steps": [1.0], "soak_minutes": 0.0, "shadow": False, "guards": {}, **told}
    places = {name: f"assets/endpoints/x/defs.yaml:{line}" for line, name in enumerate(("steps", "shadow"), 7)}
    return dg.AssetSpec(["endpoints", name], metadata={"rollout": {**plan, "places": places}})


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


def test_a_step_of_another_environment_or_of_an_endpoint_made_anew_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = Terms(1, "digest", {}, ())
    entry = Entry(State(terms.target, None, "loaded"), terms, None)
    keys = set()
    for environment, day in (("dev", 1), ("prod", 1), ("dev", 2)):
        monkeypatch.setenv("ML_PLATFORM_ENV", environment)
        lakehouse = EmbeddedLakehouse(str(tmp_path / f"{environment}-{day}"))
        RolloutLog(lakehouse.table("endpoints/x__rollout")).write(entry, datetime(2024, 5, day, tzinfo=UTC))
        request = _next(endpoint(), lakehouse, datetime(2024, 5, day, 1, tzinfo=UTC))
        assert request is not None
        assert request.tags["ml_platform/environment"] == environment
        keys.add(request.run_key)
    assert len(keys) == 3


def test_a_rollout_of_which_nothing_can_be_read_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path))
    terms = Terms(1, "digest", {}, ())
    lakehouse = build(bindings()["lakehouse"])
    for name in ("broken", "x"):
        log = RolloutLog(lakehouse.table(f"endpoints/{name}__rollout"))
        log.write(Entry(State(terms.target, None, "loaded"), terms, None), datetime(2024, 5, 1, tzinfo=UTC))
    (first,) = Path(lakehouse.table("endpoints/broken__rollout").uri).glob("_delta_log/*.json")
    first.write_text("no log")
    (sensor,) = rollouts([endpoint("broken"), endpoint()], bindings()).sensors or ()
    assert isinstance(sensor, dg.SensorDefinition)
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance) as context:
        tick = sensor.evaluate_tick(context)
        assert [request.asset_selection for request in tick.run_requests or ()] == [[dg.AssetKey(["endpoints", "x"])]]
        (sensor,) = rollouts([endpoint("broken")], bindings()).sensors or ()
        assert isinstance(sensor, dg.SensorDefinition)
        with pytest.raises(Exception, match="endpoints/broken__rollout"):
            sensor.evaluate_tick(context)
