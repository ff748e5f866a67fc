from __future__ import annotations

from typing import Any

import pytest

from ml_platform.errors import NotFoundError
from ml_platform.records.job import JobSpec
from ml_platform.testing import training_set
from ml_platform.testing.job_runner import ENDLESS, JobRunnerContract
from resources.gcp.job_runner import GcpJobRunner


class TestGcpJobRunner(JobRunnerContract):
    @pytest.fixture
    def runner(self, account: Any) -> GcpJobRunner:
        return GcpJobRunner(**account.settings)

    @pytest.fixture
    def pin(self, gcp_pin: dict[str, Any]) -> dict[str, Any]:
        return gcp_pin


def fit(pin: dict[str, Any], **changes: Any) -> JobSpec:
    return JobSpec("late@1", "fit", training_set.fit_arguments(pin, **{"estimator": "baseline", **changes}))


def test_a_job_of_another_environment_is_not_there(account: Any, gcp_pin: dict[str, Any]) -> None:
    dev, prod = (GcpJobRunner(**{**account.settings, "prefix": account.prefix + name}) for name in ("-dev-1", "-prod"))
    mine = dev.submit(fit(gcp_pin, **ENDLESS))
    theirs = prod.submit(fit(gcp_pin, **ENDLESS))
    assert mine != theirs
    for wrong in (prod.status, prod.cancel, prod.events):
        with pytest.raises(NotFoundError, match=r"environment .*-prod has none"):
            wrong(mine)
    prod.cancel(theirs)
    assert dev.status(mine).state in ("pending", "running")
    dev.cancel(mine)


def test_a_changed_spec_takes_the_place_of_what_runs(account: Any, gcp_pin: dict[str, Any]) -> None:
    runner = GcpJobRunner(**account.settings)
    old = runner.submit(fit(gcp_pin, **ENDLESS))
    new = runner.submit(fit(gcp_pin))
    assert runner.status(old).state == "cancelled"
    list(runner.events(new))
    assert runner.status(new).state == "succeeded"
    usage = runner.usage(new)
    job = account.vertex.jobs.get_custom_job(name=new)
    assert usage.instance == job.job_spec.worker_pool_specs[0].machine_spec.machine_type
    assert usage.billable_seconds == (job.end_time - job.start_time).total_seconds() > 0


def test_the_job_is_named_labelled_and_bounded(account: Any, gcp_pin: dict[str, Any]) -> None:
    runner = GcpJobRunner(**account.settings, max_seconds=77)
    job_id = runner.submit(fit(gcp_pin))
    job = account.vertex.jobs.get_custom_job(name=job_id)
    assert job.display_name == f"{account.prefix}-late@1"
    assert job.labels["ml_platform_environment"] == account.prefix
    assert job.job_spec.scheduling.timeout.total_seconds() == 77
    assert job.job_spec.scheduling.disable_retries
    assert job.job_spec.service_account == account.settings["service_account"]
    list(runner.events(job_id))
