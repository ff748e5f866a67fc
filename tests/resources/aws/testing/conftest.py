from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ml_platform.testing.stand_in import Cloud

ROLE = "arn:aws:iam::123456789012:role/ml-platform"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ml-platform:1"


def client_of(service: str) -> Any:
    return boto3.session.Session().client(service, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def cloud(stand_in: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The stand-ins, whatever account the adapters are tested with."""
    for name, value in stand_in.environment.items():
        monkeypatch.setenv(name, value)
    return stand_in


@pytest.fixture
def sagemaker(cloud: Cloud) -> Iterator[Any]:
    """Amazon's own client, which tries nothing twice."""
    client = client_of("sagemaker")
    yield client
    client.close()


@pytest.fixture
def runtime(cloud: Cloud) -> Iterator[Any]:
    client = client_of("sagemaker-runtime")
    yield client
    client.close()


@pytest.fixture
def logs(cloud: Cloud) -> Iterator[Any]:
    client = client_of("logs")
    yield client
    client.close()


@pytest.fixture
def store(cloud: Cloud, place: dict[str, str]) -> Iterator[Any]:
    """Objects in the environment's prefix: `store(name, content)` gives the object's URI."""
    client = client_of("s3")

    def put(name: str, content: object) -> str:
        key = f"{place['prefix']}/{name}"
        client.put_object(Bucket=place["bucket"], Key=key, Body=json.dumps(content).encode())
        return f"s3://{place['bucket']}/{key}"

    yield put
    client.close()


@pytest.fixture
def training(place: dict[str, str], store: Any) -> dict[str, Any]:
    """A request to CreateTrainingJob whose job fails soon: its order names a program that there is not."""
    store("order/order.json", {"program": "sing", "arguments": {}, "threads": 1})
    base = f"s3://{place['bucket']}/{place['prefix']}"
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{base}/order/", "S3DataDistributionType": "FullyReplicated"}
    return {
        "TrainingJobName": f"{place['prefix']}-job",
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [{"ChannelName": "order", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": f"{base}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Environment": {"ML_PLATFORM_EVENTS": f"{base}/events"},
    }
