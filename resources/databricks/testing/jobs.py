"""The stand-in's Jobs 2.2: one-time runs, each a real process in a container on a machine of its own."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from databricks.sdk.service.jobs import JobsAPI, Run, RunOutput, RunState, RunTask, SparkPythonTask, SubmitTask
from databricks.sdk.service.jobs import RunLifeCycleState as Life
from databricks.sdk.service.jobs import RunResultState as Result
from starlette.routing import Route

from ml_platform.testing.container import Container
from resources.databricks.testing import driver
from resources.databricks.testing.protocol import Given, call, invalid
from resources.databricks.testing.state import State

_API = "/api/2.2/jobs/runs"
_LOOK_SECONDS = 0.05
_DIES_AFTER_SECONDS = 0.3
_GRACE_SECONDS = 2.0
_LOGS_BYTES = 5 * 2**20
_OVER = (Life.TERMINATED, Life.INTERNAL_ERROR)


@dataclass
class OneTimeRun:
    """A run that was submitted. told: it is to end; seconds: that it may take, 0 for any."""

    run_id: int
    name: str
    task: SubmitTask
    seconds: int
    state: RunState = field(default_factory=lambda: RunState(Life.PENDING, state_message="Waiting for cluster"))
    started: float = field(default_factory=time.time)
    ended: float = 0.0
    told: Event = field(default_factory=Event)
    error: str = ""
    logs: str = ""

    @property
    def task_run_id(self) -> int:
        """The id of its only task's run."""
        return self.run_id + 1

    def described(self) -> Run:
        """The run as the API tells of it."""
        start, end = int(self.started * 1000), int(self.ended * 1000)
        task = RunTask(
            task_key=self.task.task_key,
            run_id=self.task_run_id,
            new_cluster=self.task.new_cluster,
            spark_python_task=self.task.spark_python_task,
            state=self.state,
            start_time=start,
            end_time=end,
            setup_duration=0,
            execution_duration=max(0, end - start),
        )
        return Run(
            run_id=self.run_id, run_name=self.name, state=self.state, tasks=[task], start_time=start, end_time=end
        )


def routes(state: State) -> list[Route]:
    """Every route of Jobs that there is here."""
    runs = Runs(state)
    state.closing.append(runs.end)
    return [
        call("POST", f"{_API}/submit", JobsAPI.submit, runs.submit),
        call("GET", f"{_API}/get", JobsAPI.get_run, lambda given: runs.find(given["run_id"]).described()),
        call("GET", f"{_API}/list", JobsAPI.list_runs, runs.listed),
        call("GET", f"{_API}/get-output", JobsAPI.get_run_output, runs.output),
        call("POST", f"{_API}/cancel", JobsAPI.cancel_run, runs.cancel),
    ]


class Runs:
    """The runs, by id."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._runs: dict[int, OneTimeRun] = {}
        self._tokens: dict[str, int] = {}
        self._ids = itertools.count(101, 2)
        self._threads: list[Thread] = []
        self._starting = Lock()

    def submit(self, given: Given) -> dict[str, int]:
        """The id of a new run, or of the one that was submitted with the same token."""
        token = given.get("idempotency_token", "")
        if len(token) > 64:
            raise invalid("The idempotency token must have at most 64 characters")
        if token not in self._tokens:
            task = _task(given)
            seconds = given.get("timeout_seconds") or task.timeout_seconds or 0
            run = OneTimeRun(next(self._ids), given.get("run_name", "Untitled"), task, seconds)
            environment = self._state.environment(task.new_cluster.spark_env_vars or {} if task.new_cluster else {})
            self._runs[run.run_id] = run
            thread = Thread(target=self._run, args=(run, environment), daemon=True)
            self._threads.append(thread)
            thread.start()
            if not token:
                return {"run_id": run.run_id}
            self._tokens[token] = run.run_id
        return {"run_id": self._tokens[token]}

    def find(self, run_id: int) -> OneTimeRun:
        """The run. Raises ApiError where there is none."""
        if run_id not in self._runs:
            raise invalid(f"Run {run_id} does not exist.")
        return self._runs[run_id]

    def listed(self, given: Given) -> dict[str, Any]:
        """The runs, the latest first, without their tasks unless these are asked for."""
        wanted = [run for run in reversed(self._runs.values()) if _matches(run, given)]
        start, size = int(given.get("page_token") or 0), int(given.get("limit") or 20)
        shown = [run.described() for run in wanted[start : start + size]]
        for run in shown:
            run.tasks = run.tasks if given.get("expand_tasks") else None
        token = {"next_page_token": str(start + size)} if len(wanted) > start + size else {}
        return {"runs": [run.as_dict() for run in shown], **token}

    def output(self, given: Given) -> RunOutput:
        """What the run of a task printed, and why it failed."""
        if given["run_id"] in self._runs:
            raise invalid(
                "Retrieving the output of runs with multiple tasks is not supported. "
                "Please retrieve the output of each individual task run instead."
            )
        run = self.find(given["run_id"] - 1)
        return RunOutput(error=run.error or None, logs=run.logs[-_LOGS_BYTES:], metadata=run.described())

    def cancel(self, given: Given) -> None:
        """The run is told to end."""
        self.find(given["run_id"]).told.set()

    def end(self) -> None:
        """No run is left."""
        for run in self._runs.values():
            run.told.set()
        for thread in self._threads:
            thread.join()

    def _run(self, run: OneTimeRun, environment: dict[str, str]) -> None:
        """The run has gone through its states, and nothing of it is left running."""
        container = None
        hangs, dies = (self._state.faults.take(fault) for fault in ("job_hangs", "job_dies"))
        if not hangs and not run.told.is_set():
            container = self._started(run, environment)
        run.state = RunState(Life.RUNNING, state_message="In run")
        result, message = self._watched(run, container, dies)
        if container:
            container.stop(_GRACE_SECONDS)
            run.logs = container.output()
        if result is Result.FAILED:
            last = run.logs.strip().rpartition("\n")[2]
            run.error = f"SystemExit: {last}" if container and container.poll() == 1 else message
        run.state = RunState(Life.TERMINATING, result_state=result, state_message=message)
        run.ended = time.time()
        run.state = RunState(Life.TERMINATED, result_state=result, state_message=message)

    def _started(self, run: OneTimeRun, environment: dict[str, str]) -> Container:
        task: SparkPythonTask = run.task.spark_python_task  # type: ignore[assignment]
        machine = self._state.machine
        own = machine / f"run-{run.run_id}"
        own.mkdir()
        given = {**environment, "HOME": str(own), "TMPDIR": str(own)}
        command = [driver.__name__, task.python_file, *(task.parameters or [])]
        # A container sees the one folder: the machine, for its volumes are there. Its log is the run's own.
        with self._starting:
            started = Container.start(command, machine, given)
            (machine / "container.log").rename(own / "container.log")
        return Container(started.process, own, own / "container.log")

    def _watched(self, run: OneTimeRun, container: Container | None, dies: bool) -> tuple[Result, str]:
        """How the run ended, once its process has or is to."""
        while not run.told.wait(_LOOK_SECONDS):
            seconds = time.time() - run.started
            code = container.poll() if container else None
            if code is not None:
                failed = "Workload failed, see run output for details" if code > 0 else "The driver was lost"
                return (Result.SUCCESS, "") if code == 0 else (Result.FAILED, failed)
            if run.seconds and seconds > run.seconds:
                return Result.TIMEDOUT, "Run timed out"
            if container and dies and seconds > _DIES_AFTER_SECONDS:
                container.kill()
        return Result.CANCELED, "Run cancelled."


def _task(given: Given) -> SubmitTask:
    """The run's only task. Raises ApiError for what this stand-in has not, and for what the service refuses."""
    tasks = [SubmitTask.from_dict(task) for task in given.get("tasks", [])]
    if len(tasks) != 1 or not tasks[0].spark_python_task:
        raise invalid("The stand-in runs one task, a spark_python_task")
    cluster = tasks[0].new_cluster
    if not cluster or not cluster.docker_image or not cluster.docker_image.url:
        raise invalid("The stand-in runs tasks on a new_cluster with a docker_image")
    if not cluster.spark_version or not cluster.node_type_id:
        raise invalid("Missing required field: settings.cluster_spec.new_cluster.spark_version or node_type_id")
    return tasks[0]


def _matches(run: OneTimeRun, given: Given) -> bool:
    over = run.state.life_cycle_state in _OVER
    if given.get("run_type", "SUBMIT_RUN") != "SUBMIT_RUN" or "job_id" in given:
        return False
    return not (given.get("active_only") and over) and not (given.get("completed_only") and not over)
