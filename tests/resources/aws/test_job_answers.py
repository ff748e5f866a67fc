from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml_platform.records.job import JobStatus
from ml_platform.records.usage import Usage
from resources.aws.job_answers import kind_of, status_of, usage_of

FIT, SCORE = "dev-late-0f3a-fit-1", "dev-late-0f3a-score-1"
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = {"StoppingCondition": {"MaxRuntimeInSeconds": 60}}


@pytest.mark.parametrize("job_id", ["nobody", "dev-late-fit", "dev-late-fit-", "dev-late-serve-1", "fit-1"])
def test_name_that_is_not_of_our_making_is_no_job(job_id: str) -> None:
    assert kind_of(job_id) == ""


@pytest.mark.parametrize(
    ("secondary", "state"),
    [("Starting", "pending"), ("Pending", "pending"), ("Downloading", "running"), ("Training", "running")],
)
def test_fit_is_pending_until_it_has_its_machine(secondary: str, state: str) -> None:
    assert status_of(FIT, {"TrainingJobStatus": "InProgress", "SecondaryStatus": secondary}).state == state


@pytest.mark.parametrize(
    ("said", "state"), [("InProgress", "running"), ("Stopping", "running"), ("Completed", "succeeded")]
)
def test_score_is_what_sagemaker_says(said: str, state: str) -> None:
    assert status_of(SCORE, {"ProcessingJobStatus": said}) == JobStatus(SCORE, state)


@pytest.mark.parametrize(("secondary", "state"), [("Stopped", "cancelled"), ("MaxRuntimeExceeded", "failed")])
def test_stopped_fit_is_failed_where_its_time_limit_stopped_it(secondary: str, state: str) -> None:
    status = status_of(FIT, {"TrainingJobStatus": "Stopped", "SecondaryStatus": secondary, **LIMIT})
    assert status.state == state
    assert ("60 seconds" in status.reason) == (state == "failed")


@pytest.mark.parametrize(("ran", "state"), [(59, "cancelled"), (60, "failed")])
def test_stopped_score_is_failed_where_it_ran_for_its_whole_time(ran: int, state: str) -> None:
    times = {"ProcessingStartTime": BEGUN, "ProcessingEndTime": BEGUN + timedelta(seconds=ran)}
    assert status_of(SCORE, {"ProcessingJobStatus": "Stopped", **times, **LIMIT}).state == state


def test_score_that_was_stopped_before_it_started_is_cancelled() -> None:
    found: dict[str, Any] = {"ProcessingJobStatus": "Stopped", **LIMIT}
    assert status_of(SCORE, found) == JobStatus(SCORE, "cancelled")


def test_failed_job_has_the_reason_of_sagemaker() -> None:
    found = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": "AlgorithmError: no"}
    assert status_of(FIT, found) == JobStatus(FIT, "failed", "AlgorithmError: no")


def test_a_fit_took_what_sagemaker_bills_and_a_score_its_times() -> None:
    fit = {"ResourceConfig": {"InstanceType": "ml.m5.large"}, "BillableTimeInSeconds": 61}
    assert usage_of(FIT, fit) == Usage(FIT, "ml.m5.large", 61.0)
    machine = {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.xlarge"}}}
    times = {"ProcessingStartTime": BEGUN, "ProcessingEndTime": BEGUN + timedelta(seconds=90)}
    assert usage_of(SCORE, {**machine, **times}) == Usage(SCORE, "ml.m5.xlarge", 90.0)


def test_what_never_started_took_nothing() -> None:
    assert usage_of(FIT, {"ResourceConfig": {"InstanceType": "ml.m5.large"}}).billable_seconds == 0.0
    assert usage_of(SCORE, {"ProcessingResources": {"ClusterConfig": {"InstanceType": "x"}}}).billable_seconds == 0.0
