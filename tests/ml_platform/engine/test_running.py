from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_platform.engine.running import run
from ml_platform.errors import ServiceError
from ml_platform.records.job import JobEvent, JobSpec
from ml_platform.testing import training_set
from ml_platform.testing.inline_job_runner import InlineJobRunner


class InterruptedRunner(InlineJobRunner):
    def events(self, job_id: str) -> Iterator[JobEvent]:
        raise KeyboardInterrupt


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


def test_the_result_stands_in_the_folder(spec: JobSpec, tmp_path: Path) -> None:
    assert (run(InlineJobRunner(), spec, lambda _: None, tmp_path / "result") / "model.json").exists()


def test_a_failed_job_raises_its_own_reason(spec: JobSpec, tmp_path: Path) -> None:
    runner = InlineJobRunner()
    runner.fail_with = "the label is constant"

    with pytest.raises(ServiceError, match=r"fit job fit is failed, .*: the label is constant"):
        run(runner, spec, lambda _: None, tmp_path / "result")


def test_an_interrupted_caller_cancels_the_job(spec: JobSpec, tmp_path: Path) -> None:
    runner = InterruptedRunner()

    with pytest.raises(KeyboardInterrupt):
        run(runner, spec, lambda _: None, tmp_path / "result")

    assert runner.cancelled == ["fit"]
