from __future__ import annotations

import pytest
from databricks.sdk.service.jobs import Run, RunLifeCycleState, RunResultState, RunState

from resources.databricks.runs import LIVE, state


@pytest.mark.parametrize(
    ("life", "result", "expected"),
    [
        ("QUEUED", None, "pending"),
        ("BLOCKED", None, "pending"),
        ("RUNNING", None, "running"),
        ("TERMINATING", "SUCCESS", "running"),
        ("TERMINATED", "SUCCESS", "succeeded"),
        ("TERMINATED", "CANCELED", "cancelled"),
        ("TERMINATED", "FAILED", "failed"),
        ("TERMINATED", "TIMEDOUT", "failed"),
        ("INTERNAL_ERROR", None, "failed"),
        ("SKIPPED", None, "failed"),
    ],
)
def test_every_state_of_a_run_is_one_of_a_job(life: str, result: str | None, expected: str) -> None:
    run = Run(state=RunState(RunLifeCycleState(life), result_state=RunResultState(result) if result else None))
    assert state(run) == expected
    assert (state(run) in LIVE) == (expected in ("pending", "running"))


def test_a_run_without_a_state_is_to_come() -> None:
    assert state(Run()) == "pending"
