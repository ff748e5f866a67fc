from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.service.compute import ClusterSpec, DockerImage
from databricks.sdk.service.jobs import Run, RunLifeCycleState, RunResultState, SparkPythonTask, SubmitTask

from ml_platform.testing.stand_in import Cloud

Starts = Callable[..., int]
SECRET = "{{secrets/ml_platform/token}}"


def task(file: str, *parameters: str, **changes: Any) -> SubmitTask:
    cluster = ClusterSpec(
        spark_version="16.4.x-scala2.12",
        node_type_id="m5d.large",
        docker_image=DockerImage(url="image"),
        spark_env_vars={"SECRET": SECRET},
    )
    given = {"new_cluster": cluster, "spark_python_task": SparkPythonTask(file, list(parameters)), **changes}
    return SubmitTask(task_key="job", **given)


@pytest.fixture
def start(client: WorkspaceClient, folder: str) -> Starts:
    """Submits a program with its parameters."""

    def started(program: str, *parameters: str, **settings: Any) -> int:
        client.files.create_directory(folder)
        client.files.upload(f"{folder}/job.py", io.BytesIO(program.encode()))
        submitted = client.jobs.submit(tasks=[task(f"{folder}/job.py", *parameters)], **settings)
        return int(submitted.bind()["run_id"])

    return started


def ended(client: WorkspaceClient, run_id: int) -> tuple[Run, list[str]]:
    """The run at its end, and the states that it was seen in."""
    seen: list[str] = []
    while True:
        run = client.jobs.get_run(run_id)
        assert run.state is not None
        assert run.state.life_cycle_state is not None
        seen.append(run.state.life_cycle_state.value)
        if run.state.life_cycle_state is RunLifeCycleState.TERMINATED:
            return run, list(dict.fromkeys(seen))
        time.sleep(0.02)


def output(client: WorkspaceClient, run: Run) -> Any:
    assert run.tasks
    return client.jobs.get_run_output(run.tasks[0].run_id or 0)


def test_a_run_is_a_program_with_parameters_secrets_and_volumes(
    client: WorkspaceClient, start: Starts, folder: str
) -> None:
    program = """
import os, pathlib, sys, time
time.sleep(0.3)
here = pathlib.Path(os.environ["ML_PLATFORM_VOLUMES"]) / sys.argv[1]
(here / "made").write_text(os.environ["SECRET"])
print(sys.argv[1:], here.joinpath("job.py").exists())
"""
    run, states = ended(client, start(program, folder.removeprefix("/Volumes/"), run_name="mine"))
    assert states in (["PENDING", "RUNNING", "TERMINATED"], ["RUNNING", "TERMINATED"])
    assert (run.run_name, run.state and run.state.result_state) == ("mine", RunResultState.SUCCESS)
    assert output(client, run).logs.strip() == f"['{folder.removeprefix('/Volumes/')}'] True"
    contents = client.files.download(f"{folder}/made").contents
    assert contents is not None
    assert contents.read() == b"dapi-nobodys-job"


def test_a_run_sees_nothing_of_its_callers_files(client: WorkspaceClient, start: Starts, tmp_path: Any) -> None:
    (tmp_path / "mine").write_text("mine")
    run, _ = ended(client, start("import sys; open(sys.argv[1])", str(tmp_path / "mine")))
    assert run.state is not None
    assert run.state.result_state is RunResultState.FAILED
    assert "Permission denied" in output(client, run).error


def test_a_failed_run_says_its_programs_last_words(client: WorkspaceClient, start: Starts) -> None:
    run, _ = ended(client, start("import sys; sys.exit('no such column')"))
    assert run.state is not None
    assert run.state.result_state is RunResultState.FAILED
    assert run.state.state_message == "Workload failed, see run output for details"
    assert output(client, run).error == "SystemExit: no such column"
    with pytest.raises(InvalidParameterValue, match="multiple tasks is not supported"):
        client.jobs.get_run_output(run.run_id or 0)


def test_a_run_is_ended_by_its_limit_or_by_whoever_cancels_it(client: WorkspaceClient, start: Starts) -> None:
    endless = "import time\nwhile True: time.sleep(1)"
    run, _ = ended(client, start(endless, timeout_seconds=1))
    assert run.state is not None
    assert run.state.result_state is RunResultState.TIMEDOUT
    cancelled = start(endless)
    client.jobs.cancel_run(cancelled)
    run, _ = ended(client, cancelled)
    assert run.state is not None
    assert run.state.result_state is RunResultState.CANCELED


def test_a_token_starts_one_run(client: WorkspaceClient, start: Starts, prefix: str) -> None:
    first = start("", idempotency_token=prefix)
    assert start("", idempotency_token=prefix) == first
    assert start("", idempotency_token=f"{prefix}-2") != first
    with pytest.raises(InvalidParameterValue, match="at most 64 characters"):
        start("", idempotency_token="a" * 65)


def test_runs_are_listed_latest_first(client: WorkspaceClient, start: Starts) -> None:
    ids = [start("") for _ in range(3)]
    for run_id in ids:
        ended(client, run_id)
    listed = [run.run_id for run in client.jobs.list_runs(limit=2)]
    assert listed[:3] == ids[::-1]
    assert not [run.run_id for run in client.jobs.list_runs(active_only=True) if run.run_id in ids]
    expanded = next(client.jobs.list_runs(expand_tasks=True))
    assert expanded.tasks
    assert not next(client.jobs.list_runs()).tasks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"new_cluster": None}, "new_cluster"),
        ({"new_cluster": ClusterSpec(docker_image=DockerImage(url="image"))}, "spark_version"),
        ({"spark_python_task": None}, "spark_python_task"),
    ],
)
def test_a_run_that_cannot_be_is_refused(client: WorkspaceClient, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterValue, match=message):
        client.jobs.submit(tasks=[task("/Volumes/a", **changes)])


def test_a_run_that_nobody_submitted_is_not_found(client: WorkspaceClient) -> None:
    with pytest.raises(ResourceDoesNotExist, match="Run 5 does not exist"):
        client.jobs.get_run(5)


def test_a_run_dies_when_it_is_told_to(client: WorkspaceClient, start: Starts, cloud: Cloud) -> None:
    cloud.inject("job_dies", 1)
    run, _ = ended(client, start("import time\nwhile True: time.sleep(1)"))
    assert run.state is not None
    assert run.state.result_state is RunResultState.FAILED
    assert output(client, run).error == "The driver was lost"
