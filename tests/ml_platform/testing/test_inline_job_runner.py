from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.job import JobSpec
from ml_platform.testing import training_set
from ml_platform.testing.inline_job_runner import InlineJobRunner


def test_a_job_that_has_succeeded_is_attached_to(tmp_path: Path) -> None:
    runner = InlineJobRunner()
    spec = JobSpec(
        "fit", "fit", training_set.fit_arguments(training_set.write(tmp_path / "rows"), estimator="baseline")
    )

    assert runner.submit(spec) == runner.submit(spec)
    assert runner.submitted == [spec]
    assert (runner.result("fit", tmp_path / "package") / "rate.json").exists()


def test_a_job_that_is_told_to_fail_fails_with_that_reason(tmp_path: Path) -> None:
    runner = InlineJobRunner()
    runner.fail_with = "no more memory"

    job = runner.submit(JobSpec("fit", "fit", {}))

    assert runner.status(job).reason == "no more memory"
    with pytest.raises(ServiceError, match="failed"):
        runner.result(job, tmp_path / "package")


def test_a_job_that_was_never_submitted_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="fit"):
        InlineJobRunner().status("fit")
