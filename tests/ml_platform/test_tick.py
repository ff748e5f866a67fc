from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from ml_platform.tick import Tick


def looked(context: dg.SensorEvaluationContext, broken: str) -> dg.SensorResult | dg.SkipReason:
    tick, asked = Tick(context), []
    for name in ("a", "b", "c"):
        with tick.part(name):
            if name == broken:
                raise ValueError(f"{name} is unreadable")
            if name == "c" and broken != "c":
                asked.append(dg.RunRequest(run_key=name))
    return tick.ended(asked, "nothing is due")


@pytest.fixture
def context() -> Iterator[dg.SensorEvaluationContext]:
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance) as context:
        yield context


def test_one_that_fails_holds_up_no_other_and_fails_the_look_that_asks_for_nothing(
    context: dg.SensorEvaluationContext,
) -> None:
    found = looked(context, "a")
    assert isinstance(found, dg.SensorResult)
    assert [request.run_key for request in found.run_requests or ()] == ["c"]
    with pytest.raises(ValueError, match="c is unreadable"):
        looked(context, "c")


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS])
def test_a_run_that_was_made_hides_no_fault(context: dg.SensorEvaluationContext, status: dg.DagsterRunStatus) -> None:
    assert isinstance(looked(context, "a"), dg.SensorResult)
    context.instance.add_run(dg.DagsterRun("retrain", status=status, tags={"dagster/run_key": "c"}))
    with pytest.raises(ValueError, match="a is unreadable"):
        looked(context, "a")


def test_a_look_that_finds_nothing_says_so(context: dg.SensorEvaluationContext) -> None:
    found = Tick(context).ended([], "nothing is due")
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "nothing is due"
