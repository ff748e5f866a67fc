from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from ml_platform.jobs.serving import bundle
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.testing.endpoint_host import endpoint_spec, write_package
from ml_platform.testing.stand_in import Cloud
from resources.aws.bucket import Bucket

QUICK = {"Delay": 1, "MaxAttempts": 60}
ROLE = "arn:aws:iam::123456789012:role/ml-platform"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ml-platform:1"


@pytest.fixture
def made(sagemaker: Any, place: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The name of a model, and of two configurations of it, `…-1` and `…-2`; their endpoint is gone afterwards."""
    nowhere = ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": "log"})
    spec = endpoint_spec({1: write_package(tmp_path / "package", rate=0.25)}, nowhere, nowhere)
    bundle.write(replace(spec, lookup="caller"), 1, tmp_path / "bundle")
    bucket, name = Bucket(place["bucket"], place["region"]), place["prefix"]
    bucket.upload(tmp_path / "bundle", f"{name}/bundle")
    source = {"S3Uri": bucket.uri(f"{name}/bundle/"), "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    for number in (1, 2):
        configure(sagemaker, f"{name}-{number}", name)
    yield name
    delete(sagemaker, name)


def configure(sagemaker: Any, config: str, model: str) -> None:
    variant = {"VariantName": "all", "ModelName": model, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    variants = [{**variant, "InitialVariantWeight": 1.0}]
    sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants)


def delete(sagemaker: Any, name: str) -> None:
    settled(sagemaker, name)
    try:
        sagemaker.delete_endpoint(EndpointName=name)
    except ClientError:
        return
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=QUICK)


def settled(sagemaker: Any, name: str) -> dict[str, Any]:
    try:
        while (found := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"].endswith("ing"):
            time.sleep(0.1)
    except ClientError:
        return {}
    return found


def create(sagemaker: Any, name: str) -> None:
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=QUICK)


def test_endpoint_comes_into_service_by_amazons_own_waiters(sagemaker: Any, made: str) -> None:
    create(sagemaker, made)
    found = sagemaker.describe_endpoint(EndpointName=made)
    assert found["EndpointConfigName"] == f"{made}-1"
    assert [(one["VariantName"], one["CurrentWeight"]) for one in found["ProductionVariants"]] == [("all", 1.0)]
    delete(sagemaker, made)
    with pytest.raises(ClientError, match="Could not find endpoint"):
        sagemaker.describe_endpoint(EndpointName=made)


def test_unhealthy_endpoint_is_failed_with_sagemakers_reason(sagemaker: Any, made: str, cloud: Cloud) -> None:
    cloud.inject("unhealthy", 1)
    with pytest.raises(WaiterError, match="terminal failure state"):
        create(sagemaker, made)
    found = sagemaker.describe_endpoint(EndpointName=made)
    assert found["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]


def test_unhealthy_update_goes_back_to_what_served(sagemaker: Any, made: str, cloud: Cloud) -> None:
    create(sagemaker, made)
    cloud.inject("unhealthy", 1)
    sagemaker.update_endpoint(EndpointName=made, EndpointConfigName=f"{made}-2")
    found = settled(sagemaker, made)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", f"{made}-1")
    assert "did not pass the ping health check" in found["FailureReason"]


def test_silent_roll_back_looks_like_a_success(sagemaker: Any, made: str, cloud: Cloud) -> None:
    create(sagemaker, made)
    cloud.inject("rolled_back", 1)
    sagemaker.update_endpoint(EndpointName=made, EndpointConfigName=f"{made}-2")
    found = settled(sagemaker, made)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", f"{made}-1")
    assert "FailureReason" not in found


def test_endpoint_that_is_being_changed_takes_no_other_change(sagemaker: Any, made: str) -> None:
    sagemaker.create_endpoint(EndpointName=made, EndpointConfigName=f"{made}-1")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.update_endpoint(EndpointName=made, EndpointConfigName=f"{made}-2")


def test_configuration_that_serves_already_is_no_update(sagemaker: Any, made: str) -> None:
    create(sagemaker, made)
    with pytest.raises(ClientError, match="that it uses already"):
        sagemaker.update_endpoint(EndpointName=made, EndpointConfigName=f"{made}-1")


def test_weights_move_between_the_servers_that_run(sagemaker: Any, made: str) -> None:
    create(sagemaker, made)

    def weigh(**weights: float) -> None:
        wanted = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
        sagemaker.update_endpoint_weights_and_capacities(EndpointName=made, DesiredWeightsAndCapacities=wanted)

    weigh(all=0.25)
    (variant,) = settled(sagemaker, made)["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (0.25, 0.25)
    with pytest.raises(ClientError, match="must be greater than 0"):
        weigh(all=0.0)
    with pytest.raises(ClientError, match='Variant "none" does not exist'):
        weigh(none=1.0)


def test_what_is_named_has_to_exist_and_what_exists_is_not_made_again(
    sagemaker: Any, made: str, place: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="Could not find model"):
        configure(sagemaker, f"{made}-3", "nobodys")
    with pytest.raises(ClientError, match="Could not find endpoint config"):
        sagemaker.create_endpoint(EndpointName=made, EndpointConfigName="nobodys")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint-config"):
        configure(sagemaker, f"{made}-1", made)
    source = {"S3Uri": f"s3://{place['bucket']}/nothing/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    with pytest.raises(ClientError, match="Could not find model data"):
        sagemaker.create_model(
            ModelName=f"{made}-x",
            PrimaryContainer={"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}},
            ExecutionRoleArn=ROLE,
        )


def test_invocation_goes_to_the_variant_that_is_asked_for(sagemaker: Any, made: str, runtime: Any) -> None:
    create(sagemaker, made)
    request = {"EndpointName": made, "Body": json.dumps({"describe": True}), "ContentType": "application/json"}
    answer = runtime.invoke_endpoint(**request, TargetVariant="all")
    assert answer["InvokedProductionVariant"] == "all"
    assert json.loads(answer["Body"].read())["number"] == 1
    with pytest.raises(ClientError, match=r"ValidationError.*Variant none not found"):
        runtime.invoke_endpoint(**request, TargetVariant="none")


def test_refusal_of_the_container_is_a_model_error_in_its_own_words(sagemaker: Any, made: str, runtime: Any) -> None:
    create(sagemaker, made)
    with pytest.raises(runtime.exceptions.ModelError) as found:
        runtime.invoke_endpoint(EndpointName=made, Body=b"[]", ContentType="application/json")
    assert found.value.response["OriginalStatusCode"] == 400
    assert "V2 request is a JSON object" in found.value.response["OriginalMessage"]


def test_endpoint_that_is_not_there_takes_no_invocation(runtime: Any) -> None:
    with pytest.raises(ClientError, match=r"ValidationError.*Endpoint nobody of account 123456789012 not found"):
        runtime.invoke_endpoint(EndpointName="nobody", Body=b"{}")
