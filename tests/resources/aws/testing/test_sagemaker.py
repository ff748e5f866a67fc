from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from ml_platform.testing.stand_in import Cloud, running
from resources.aws.testing import sagemaker as stand_in


def call(cloud: Cloud, operation: str, body: str, **headers: str) -> httpx.Response:
    """A request as no SDK makes it."""
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=nobody/…", "X-Amz-Target": f"SageMaker.{operation}"}
    address = cloud.environment["AWS_ENDPOINT_URL_SAGEMAKER"]
    encoded = {name: value.encode() for name, value in {**signed, **headers}.items()}
    return httpx.post(address, content=body, headers=encoded, trust_env=False)


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("CreateUnicorn", "{}", "UnknownOperationException"),
        ("CreateHub", '{"HubName": "a", "HubDescription": "b"}', "UnknownOperationException"),
        ("CreateModel", "{", "SerializationException"),
        ("CreateModel", '{"ModelName": "a", "Colour": "red"}', "SerializationException"),
        ("CreateModel", '{"ModelName": "a_b"}', "ValidationException"),
        ("DescribeModel", '{"ModelName": "nobodys"}', "ValidationException"),
    ],
)
def test_what_sagemaker_refuses_is_refused_with_its_own_code(
    cloud: Cloud, operation: str, body: str, code: str
) -> None:
    answer = call(cloud, operation, body)
    assert (answer.status_code, answer.json()["__type"]) == (400, code)


def test_unsigned_request_is_refused(cloud: Cloud) -> None:
    answer = call(cloud, "ListModels", "{}", Authorization="")
    assert (answer.status_code, answer.json()["__type"]) == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ("throttled", "ThrottlingException", 400),
        ("broken", "InternalFailure", 500),
        ("expired", "ExpiredTokenException", 400),
    ],
)
def test_fault_comes_as_often_as_it_was_asked_for(
    cloud: Cloud, sagemaker: Any, fault: Any, code: str, status: int
) -> None:
    cloud.inject(fault, 1)
    with pytest.raises(ClientError) as found:
        sagemaker.list_models()
    assert found.value.response["Error"]["Code"] == code
    assert found.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    sagemaker.list_models()


def test_fault_that_there_is_not_is_not_found(cloud: Cloud) -> None:
    address = cloud.environment["AWS_ENDPOINT_URL_SAGEMAKER"]
    assert httpx.put(f"{address}/__faults/bored/1", trust_env=False).status_code == 404


def test_output_of_a_job_is_in_its_log(sagemaker: Any, training: dict[str, Any], logs: Any) -> None:
    name = training["TrainingJobName"]
    training["AlgorithmSpecification"] |= {"ContainerEntrypoint": ["python", "-m", "resources.aws.edge"]}
    sagemaker.create_training_job(**training)
    while sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress":
        time.sleep(0.1)
    group = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    (event,) = logs.filter_log_events(**group, logStreamNamePrefix=f"{name}/")["events"]
    assert event["message"] == "usage: python -m resources.aws.edge train|process|serve"
    (again,) = logs.get_log_events(**group, logStreamName=event["logStreamName"])["events"]
    assert again["message"] == event["message"]


def test_log_that_is_not_there_is_not_found(logs: Any) -> None:
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/nobodys")


def test_stand_in_ends_and_nothing_of_it_runs(cloud: Cloud, tmp_path: Path) -> None:
    with running(stand_in.__name__, cloud.environment["AWS_ENDPOINT_URL_S3"], str(tmp_path)) as address:
        assert httpx.post(address, trust_env=False).status_code == 403
    with pytest.raises(httpx.ConnectError):
        httpx.post(address, trust_env=False)
