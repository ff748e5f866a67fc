from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_platform.engine.running import run
from ml_platform.errors import RefusedError, ServiceError, TransientServiceError
from ml_platform.records.job import JobEvent, JobSpec
from ml_platform.testing import training_set
from ml_platform.testing.inline_job_runner import InlineJobRunner


class BrokenRunner(InlineJobRunner):
    """Tells `telling`; raises `hearing` when heard, `submitting` once it submitted, `cancelling` when cancelling."""

    telling: Sequence[JobEvent] = ()
    hearing: BaseException | None = None
    submitting: BaseException | None = None
    cancelling: Exception | None = None

    def submit(self, spec: JobSpec) -> str:
        job_id = super().submit(spec)
        if self.submitting:
            raise self.submitting
        return job_id

    def events(self, job_id: str) -> Iterator[JobEvent]:
        if self.hearing:
            raise self.hearing
        return iter(self.telling) if self.telling else super().events(job_id)

    def cancel(self, job_id: str) -> None:
        if self.cancelling:
            raise self.cancelling
        super().cancel(job_id)


@pytest.fixture
def runner() -> BrokenRunner:
    return BrokenRunner()


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    return JobSpec(
        "fit", "fit", training_set.fit_arguments(training_set.write(tmp_path / "rows"), estimator="baseline")
    )


def test_the_id_is_said_before_anything_is_waited_for(spec: JobSpec, tmp_path: Path) -> None:
    said: list[str] = []

    run(InlineJobRunner(), spec, said.append, tmp_path / "result")

    assert said[0] == "fit job fit"
    assert said[1] == "fit is succeeded"


def test_progress_is_a_bar_and_a_metric_its_value(runner: BrokenRunner, spec: JobSpec, tmp_path: Path) -> None:
    said: list[str] = []
    at = datetime(2026, 1, 1, tzinfo=UTC)
    runner.telling = [
        JobEvent(at, "log", "900 rows"),
        JobEvent(at, "progress", "round 25", 0.25),
        JobEvent(at, "metric", "test/brier", 0.125),
    ]

    run(runner, spec, said.append, tmp_path / "result")

    assert said[1:] == ["900 rows", "█████░░░░░░░░░░░░░░░  25%  round 25", "test/brier = 0.125"]


def test_the_result_stands_in_the_folder(spec: JobSpec, tmp_path: Path) -> None:
    assert (run(InlineJobRunner(), spec, lambda _: None, tmp_path / "result") / "model.json").exists()


def test_a_failed_job_raises_its_own_reason(spec: JobSpec, tmp_path: Path) -> None:
    runner = InlineJobRunner()
    runner.fail_with = "the label is constant"

    with pytest.raises(ServiceError, match=r"fit job fit is failed, .*: the label is constant"):
        run(runner, spec, lambda _: None, tmp_path / "result")


@pytest.mark.parametrize("at", ["hearing", "submitting"])
def test_an_interrupted_caller_cancels_the_job(at: str, runner: BrokenRunner, spec: JobSpec, tmp_path: Path) -> None:
    setattr(runner, at, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        run(runner, spec, lambda _: None, tmp_path / "result")

    assert runner.cancelled == ["fit"]


def test_a_caller_that_is_interrupted_before_anything_was_submitted_cancels_nothing(
    runner: BrokenRunner, spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_platform.engine.running._LOOKS", 1)
    # a failed job is nothing that would be attached to
    runner.fail_with, runner.submitting = "never started", KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        run(runner, spec, lambda _: None, tmp_path / "result")

    assert runner.cancelled == []


@pytest.mark.parametrize("kind", [TransientServiceError, RefusedError])
def test_a_job_that_cannot_be_heard_goes_on_and_its_id_is_told(
    kind: type[ServiceError], runner: BrokenRunner, spec: JobSpec, tmp_path: Path
) -> None:
    runner.hearing = kind("the service is down, but is needed")

    with pytest.raises(kind) as told:
        run(runner, spec, lambda _: None, tmp_path / "result")

    assert str(told.value) == (
        "the fit job fit goes on, but it cannot be heard now: the service is down, but is needed. "
        "Run again once that has passed: the next run attaches to it."
    )
    assert runner.cancelled == []
    # and so it does
    runner.hearing = None
    run(runner, spec, lambda _: None, tmp_path / "result")
    assert len(runner.submitted) == 1


def test_any_other_failure_ends_the_job(runner: BrokenRunner, spec: JobSpec, tmp_path: Path) -> None:
    runner.hearing = ValueError("a chunk is no JSON")

    with pytest.raises(ValueError, match="no JSON"):
        run(runner, spec, lambda _: None, tmp_path / "result")

    assert runner.cancelled == ["fit"]


def test_a_refused_submission_is_told_as_it_is(runner: BrokenRunner, spec: JobSpec, tmp_path: Path) -> None:
    runner.submitting = RefusedError("the credentials have ended, but are needed")

    with pytest.raises(RefusedError, match=r"^the credentials have ended, but are needed\.$"):
        run(runner, spec, lambda _: None, tmp_path / "result")

    assert runner.cancelled == []


def test_a_cancellation_that_fails_leaves_the_cause_and_tells_the_id(
    runner: BrokenRunner, spec: JobSpec, tmp_path: Path
) -> None:
    runner.hearing, runner.cancelling = KeyboardInterrupt(), ServiceError("the service is down, but is needed")

    with pytest.raises(KeyboardInterrupt) as told:
        run(runner, spec, lambda _: None, tmp_path / "result")

    (note,) = told.value.__notes__
    assert note == "The fit job fit may go on, for cancelling it failed: the service is down, but is needed."
