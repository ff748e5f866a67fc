from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from ml_platform.testing.stand_in import Cloud

QUICK = {"Delay": 1, "MaxAttempts": 60}


def waited(sagemaker: Any, name: str) -> dict[str, Any]:
    while (found := sagemaker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] == "InProgress":
        time.sleep(0.1)
    return found


def test_job_goes_through_its_states_and_fails_with_what_its_program_says(
    sagemaker: Any, training: dict[str, Any]
) -> None:
    arn = sagemaker.create_training_job(**training)["TrainingJobArn"]
    assert arn.endswith(f":123456789012:training-job/{training['TrainingJobName']}")
    found = waited(sagemaker, training["TrainingJobName"])
    said = "AlgorithmError: the order's program is 'sing', but jobs are fit, score., exit code: 1"
    assert (found["TrainingJobStatus"], found["FailureReason"]) == ("Failed", said)
    states = [state["Status"] for state in found["SecondaryStatusTransitions"]]
    assert states == ["Downloading", "Training", "Uploading", "Failed"]


def test_amazons_own_waiter_sees_the_end(sagemaker: Any, training: dict[str, Any], cloud: Cloud) -> None:
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    sagemaker.create_training_job(**training)
    with pytest.raises(WaiterError, match="terminal failure state"):
        waiter.wait(TrainingJobName=training["TrainingJobName"], WaiterConfig=QUICK)
    cloud.inject("job_hangs", 1)
    again = {**training, "TrainingJobName": f"{training['TrainingJobName']}-2"}
    sagemaker.create_training_job(**again)
    sagemaker.stop_training_job(TrainingJobName=again["TrainingJobName"])
    waiter.wait(TrainingJobName=again["TrainingJobName"], WaiterConfig=QUICK)
    assert waited(sagemaker, again["TrainingJobName"])["SecondaryStatus"] == "Stopped"


def test_name_is_never_given_twice(sagemaker: Any, training: dict[str, Any]) -> None:
    sagemaker.create_training_job(**training)
    waited(sagemaker, training["TrainingJobName"])
    with pytest.raises(ClientError, match="names must be unique within an AWS account and region") as found:
        sagemaker.create_training_job(**training)
    assert found.value.response["Error"]["Code"] == "ResourceInUse"


def test_job_over_its_time_is_stopped_as_such(sagemaker: Any, training: dict[str, Any], cloud: Cloud) -> None:
    cloud.inject("job_hangs", 1)
    sagemaker.create_training_job(**{**training, "StoppingCondition": {"MaxRuntimeInSeconds": 1}})
    found = waited(sagemaker, training["TrainingJobName"])
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_channel_without_an_object_fails_the_job(sagemaker: Any, training: dict[str, Any]) -> None:
    training["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] += "nothing"
    sagemaker.create_training_job(**training)
    found = waited(sagemaker, training["TrainingJobName"])
    assert found["FailureReason"].startswith("ClientError: Data download failed: No S3 objects found under S3 URL")


def test_job_that_has_ended_cannot_be_stopped(sagemaker: Any, training: dict[str, Any]) -> None:
    sagemaker.create_training_job(**training)
    waited(sagemaker, training["TrainingJobName"])
    with pytest.raises(ClientError, match="the training job is in status Failed"):
        sagemaker.stop_training_job(TrainingJobName=training["TrainingJobName"])


def test_job_that_is_not_there_is_an_error_of_sagemakers_kind(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="nobody")


def test_jobs_are_listed_by_name_and_page(sagemaker: Any, training: dict[str, Any], cloud: Cloud) -> None:
    names = [f"{training['TrainingJobName']}-{number}" for number in range(3)]
    cloud.inject("job_hangs", 3)
    for name in names:
        sagemaker.create_training_job(**{**training, "TrainingJobName": name})
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=training["TrainingJobName"], StatusEquals="InProgress", PaginationConfig={"PageSize": 2}
    )
    found = [[job["TrainingJobName"] for job in page["TrainingJobSummaries"]] for page in pages]
    assert found == [[names[2], names[1]], [names[0]]]
    for name in names:
        sagemaker.stop_training_job(TrainingJobName=name)


def test_field_that_would_only_be_ignored_is_refused(sagemaker: Any, training: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="EnableNetworkIsolation is not offered by this stand-in"):
        sagemaker.create_training_job(**training, EnableNetworkIsolation=True)
