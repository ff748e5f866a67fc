from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from accounts import stand_ins_only

from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.job import JobSpec, Needs
from ml_platform.testing import training_set
from ml_platform.testing.job_runner import JobRunnerContract
from ml_platform.testing.stand_in import Cloud
from resources.databricks.job_runner import DatabricksJobRunner
from resources.databricks.workspace import Workspace

Runs = Callable[..., DatabricksJobRunner]


@pytest.fixture
def runner(runner_in: Runs, prefix: str) -> DatabricksJobRunner:
    return runner_in(prefix)


@pytest.fixture
def spec(pin: dict[str, Any]) -> JobSpec:
    return JobSpec("late@1", "fit", training_set.fit_arguments(pin, estimator="baseline"))


class TestDatabricksJobRunner(JobRunnerContract):
    @pytest.fixture
    def runner(self, runner: DatabricksJobRunner) -> DatabricksJobRunner:
        return runner

    @pytest.fixture
    def pin(self, pin: dict[str, Any]) -> dict[str, Any]:
        return pin


def test_a_submission_that_nobody_wrote_down_is_found_again(
    runner: DatabricksJobRunner, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("resources.databricks.attempts.Attempts.submitted", dies)
        with pytest.raises(KeyboardInterrupt):
            runner.submit(spec)
    run = next(Workspace().client.jobs.list_runs(limit=1))
    assert runner.submit(spec) == str(run.run_id)
    list(runner.events(str(run.run_id)))
    assert runner.status(str(run.run_id)).state == "succeeded"


def test_a_job_whose_run_is_forgotten_is_started_anew(
    runner: DatabricksJobRunner, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a run that is written down, but that the workspace does not know any more
    with monkeypatch.context() as patched:
        patched.setattr(DatabricksJobRunner, "_submitted", lambda *_: 10**9)
        forgotten = runner.submit(spec)
    with pytest.raises(NotFoundError):
        runner.status(forgotten)
    # then it stands in nobody's way, and what is started now is found from then on
    assert runner.find(spec) is None
    job = runner.submit(spec)
    assert job != forgotten
    assert runner.find(spec) == job
    list(runner.events(job))
    assert runner.submit(spec) == job


def test_a_changed_spec_is_a_new_run(runner: DatabricksJobRunner, spec: JobSpec) -> None:
    first = runner.submit(JobSpec(spec.name, spec.program, {**spec.arguments, "estimator": "linear"}))
    second = runner.submit(spec)
    assert first != second
    assert runner.status(first).state in ("cancelled", "succeeded")
    list(runner.events(second))
    assert runner.status(second).state == "succeeded"
    usage = runner.usage(second)
    assert usage.instance
    assert usage.billable_seconds > 0


def test_a_run_of_another_environment_is_not_found(runner: DatabricksJobRunner, runner_in: Runs, spec: JobSpec) -> None:
    job = runner.submit(spec)
    with pytest.raises(NotFoundError, match="but there is none of prod in the workspace"):
        runner_in("prod").status(job)
    runner.cancel(job)


def test_what_a_run_is_told_holds_no_secret(runner: DatabricksJobRunner, cloud: Cloud, spec: JobSpec) -> None:
    job = runner.submit(spec)
    list(runner.events(job))
    client = Workspace().client
    run = client.jobs.get_run(int(job))
    (task,) = run.tasks or ()
    told = f"{run.as_dict()} {client.jobs.get_run_output(task.run_id or 0).as_dict()}"
    assert "{{secrets/ml_platform/token}}" in told
    assert cloud.environment["DATABRICKS_TOKEN"] not in told
    assert "ASIA" not in told


def test_needs_that_no_machine_meets_are_refused_before_anything_is_sent(runner: DatabricksJobRunner) -> None:
    with pytest.raises(ServiceError, match=r"The largest is m5d\.16xlarge"):
        runner.submit(JobSpec("late@1", "fit", {}, needs=Needs(cpu=128)))


@stand_ins_only("databricks")
@pytest.mark.parametrize("fault", ["throttled", "broken"])
def test_a_service_that_refuses_twice_is_asked_again(
    fault: Any, runner: DatabricksJobRunner, cloud: Cloud, spec: JobSpec
) -> None:
    cloud.inject(fault, 2)
    job = runner.submit(spec)
    cloud.inject(fault, 2)
    list(runner.events(job))
    assert runner.status(job).state == "succeeded"


@stand_ins_only("databricks")
def test_an_expired_token_is_told(runner: DatabricksJobRunner, cloud: Cloud, spec: JobSpec) -> None:
    cloud.inject("expired", 1)
    with pytest.raises(ServiceError, match="credentials that have not expired and READ VOLUME"):
        runner.submit(spec)


@stand_ins_only("databricks")
def test_a_run_that_is_killed_is_failed_with_the_services_words(
    runner: DatabricksJobRunner, cloud: Cloud, spec: JobSpec
) -> None:
    cloud.inject("job_dies", 1)
    job = runner.submit(spec)
    list(runner.events(job))
    status = runner.status(job)
    assert (status.state, status.reason) == ("failed", "The driver was lost")


@stand_ins_only("databricks")
def test_a_run_that_hangs_is_ended_by_the_service(runner_in: Runs, prefix: str, cloud: Cloud, spec: JobSpec) -> None:
    runner = runner_in(prefix, max_seconds=1)
    cloud.inject("job_hangs", 1)
    job = runner.submit(spec)
    assert list(runner.events(job)) == []
    status = runner.status(job)
    assert (status.state, status.reason) == (
        "failed",
        "the service ended it after 1 seconds, as the setting max_seconds says",
    )
