"""Runs of Databricks Jobs as one environment has them: known by a tag of their cluster, looked at, ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.job import JobState
from resources.databricks.unity_catalog import ENVIRONMENT
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk.service.jobs import BaseRun, Run

LIVE = ("pending", "running")
_CANCEL_SECONDS = 300.0
_WAITING = ("QUEUED", "PENDING", "BLOCKED", "WAITING_FOR_RETRY")
_GOING = ("RUNNING", "TERMINATING")


class Runs:
    """The one-time runs of an environment. environment: of the prefix. poll_seconds: between two looks at one."""

    def __init__(self, workspace: Workspace, environment: str, poll_seconds: float) -> None:
        self._workspace, self._environment, self._poll_seconds = workspace, environment, poll_seconds

    def find(self, job_id: str) -> Run:
        """The run. Raises NotFoundError where there is none, or it is not of this environment."""
        missing = f"job {job_id} is asked for, but there is none of {self._environment} in the workspace"
        if not job_id.isdigit():
            raise NotFoundError(missing)
        run = self._workspace.ask(f"job {job_id}", "CAN VIEW", lambda client: client.jobs.get_run(int(job_id)))
        if not self._ours(run):
            raise NotFoundError(missing)
        return run

    def live(self) -> Iterator[BaseRun]:
        """Those that have not ended."""
        from databricks.sdk.service.jobs import RunType

        found = self._workspace.ask(
            "runs/list",
            "CAN VIEW",
            lambda client: [*client.jobs.list_runs(active_only=True, run_type=RunType.SUBMIT_RUN, expand_tasks=True)],
        )
        return filter(self._ours, found)

    def cancel(self, job_id: str) -> None:
        """The run has ended; idempotent. Raises ServiceError where it has not five minutes later."""
        deadline = time.monotonic() + _CANCEL_SECONDS
        if state(self.find(job_id)) not in LIVE:
            return
        self._workspace.ask(
            f"runs/cancel of {job_id}", "CAN MANAGE RUN", lambda client: client.jobs.cancel_run(int(job_id))
        )
        while state(self.find(job_id)) in LIVE:
            if time.monotonic() > deadline:
                raise ServiceError(f"the run {job_id} was cancelled {_CANCEL_SECONDS:.0f} s ago, but still goes on")
            time.sleep(self._poll_seconds)

    def _ours(self, run: Run | BaseRun) -> bool:
        task = run.tasks[0] if run.tasks else None
        tags = task.new_cluster.custom_tags if task and task.new_cluster else None
        return (tags or {}).get(ENVIRONMENT) == self._environment


def state(run: Run) -> JobState:
    """The run's state, in the platform's words."""
    life = run.state.life_cycle_state.value if run.state and run.state.life_cycle_state else "PENDING"
    if life in _WAITING:
        return "pending"
    if life in _GOING:
        return "running"
    result = run.state.result_state.value if run.state and run.state.result_state else ""
    return "succeeded" if result == "SUCCESS" else "cancelled" if result == "CANCELED" else "failed"
