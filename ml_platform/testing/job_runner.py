"""The contract of a job runner, as tests: inherit it and supply the runner."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine.scorer import Scorer
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.job import JobSpec, JobStatus
from ml_platform.roles.job_runner import JobRunner
from ml_platform.testing import training_set

SpecMaker = Callable[..., JobSpec]

ENDLESS = {"estimator": "gradient_boosting", "parameters": {"rounds": 10**6, "early_stopping_rounds": 10**6}}


class JobRunnerContract:
    """What every job runner keeps."""

    @pytest.fixture
    def runner(self, tmp_path: Path) -> JobRunner:
        """The service under test, without any job."""
        raise NotImplementedError

    @pytest.fixture
    def pin(self, tmp_path: Path) -> dict[str, Any]:
        """A training set that the service's jobs can read; for a remote service, override it."""
        return training_set.write(tmp_path / "training_set")

    @pytest.fixture
    def spec(self, pin: dict[str, Any]) -> SpecMaker:
        """Makes the spec of a fit, its arguments changed as asked."""
        quick = {"estimator": "baseline"}
        return lambda **changes: JobSpec("late@1", "fit", training_set.fit_arguments(pin, **{**quick, **changes}))

    def test_succeeded_job_hands_over_what_its_program_wrote(
        self, runner: JobRunner, spec: SpecMaker, tmp_path: Path
    ) -> None:
        job = runner.submit(spec())
        events = list(runner.events(job))
        assert runner.status(job) == JobStatus(job, "succeeded")
        package = runner.result(job, tmp_path / "package")
        assert [feature.name for feature in Scorer.load(package).features] == list(training_set.FEATURES)
        # Of whatever code its image has.
        assert len(Scorer.load(package).card.code) == 64
        metrics = {event.text: event.value for event in events if event.kind == "metric"}
        assert metrics["test/roc_auc"] == 0.5
        assert [event.time for event in events] == sorted(event.time for event in events)

    def test_submitting_a_name_again_attaches_and_its_events_can_be_read_again(
        self, runner: JobRunner, spec: SpecMaker
    ) -> None:
        job = runner.submit(spec())
        first = list(runner.events(job))
        assert runner.submit(spec()) == job
        assert list(runner.events(job)) == first

    def test_a_job_is_found_by_its_spec_for_as_long_as_it_would_be_attached_to(
        self, runner: JobRunner, spec: SpecMaker
    ) -> None:
        assert runner.find(spec()) is None
        job = runner.submit(spec())
        assert runner.find(spec()) == job
        list(runner.events(job))
        assert runner.find(spec()) == job
        assert runner.find(spec(label="later")) is None
        runner.cancel(endless := runner.submit(spec(**ENDLESS)))
        assert endless
        assert runner.find(spec(**ENDLESS)) is None

    def test_failed_job_gives_its_programs_error_and_can_be_started_anew(
        self, runner: JobRunner, spec: SpecMaker, tmp_path: Path
    ) -> None:
        job = runner.submit(spec(label="later"))
        list(runner.events(job))
        status = runner.status(job)
        assert status.state == "failed"
        assert status.reason.startswith("column later is missing from ")
        assert "Did you mean late?" in status.reason
        with pytest.raises(ServiceError, match="is failed, but only a succeeded job has a result"):
            runner.result(job, tmp_path / "package")
        again = runner.submit(spec())
        list(runner.events(again))
        assert runner.status(again).state == "succeeded"

    def test_cancelled_job_ends_at_once_and_stays_cancelled(self, runner: JobRunner, spec: SpecMaker) -> None:
        job = runner.submit(spec(**ENDLESS))
        assert next(event for event in runner.events(job) if event.kind == "progress")
        started = time.monotonic()
        runner.cancel(job)
        assert runner.status(job).state == "cancelled"
        list(runner.events(job))
        runner.cancel(job)
        assert runner.status(job).state == "cancelled"
        assert time.monotonic() - started < 30

    def test_cancelling_a_succeeded_job_leaves_it_succeeded(self, runner: JobRunner, spec: SpecMaker) -> None:
        job = runner.submit(spec())
        list(runner.events(job))
        runner.cancel(job)
        assert runner.status(job).state == "succeeded"

    def test_unknown_job_is_not_found(self, runner: JobRunner) -> None:
        with pytest.raises(NotFoundError, match="job nobody is asked for"):
            runner.status("nobody")
