from __future__ import annotations

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


def test_one_that_fails_holds_up_no_other_and_fails_the_look_that_asks_for_nothing() -> None:
    with dg.build_sensor_context() as context:
        found = looked(context, "a")
        assert isinstance(found, dg.SensorResult)
        assert [request.run_key for request in found.run_requests or ()] == ["c"]
        with pytest.raises(ValueError, match="c is unreadable"):
            looked(context, "c")


def test_a_look_that_finds_nothing_says_so() -> None:
    with dg.build_sensor_context() as context:
        found = Tick(context).ended([], "nothing is due")
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "nothing is due"
