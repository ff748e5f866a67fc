from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from resources.aws.testing.components import Part

ROLE = "arn:aws:iam::123456789012:role/ml-platform"


@pytest.mark.parametrize(
    ("part", "beside", "fits"),
    [
        (Part(1, 4096), [Part(1, 4096)], True),
        (Part(1.5, 1024), [Part(1, 1024)], False),
        (Part(1, 4097), [Part(1, 4096)], False),
        (Part(3, 1024), [], False),
        (Part(1, 1024, 1), [], False),
    ],
)
def test_copy_is_on_one_machine_beside_others(part: Part, beside: list[Part], fits: bool) -> None:
    assert part.fits(beside, {"cpu": 2, "memory_gib": 8}) is fits
    assert Part(1, 1, 1).fits([], {"cpu": 2, "memory_gib": 8, "accelerator": "t4"})
    assert not Part(1, 1, 1).fits([Part(1, 1, 1)], {"cpu": 2, "memory_gib": 8, "accelerator": "t4"})


@pytest.fixture
def group(sagemaker: Any, place: dict[str, str]) -> Iterator[str]:
    """An endpoint for components, which takes one machine of two cores."""
    name = f"{place['prefix']}-group"
    scaling = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 1}
    variant = {"VariantName": "all", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    variants = [{**variant, "ManagedInstanceScaling": scaling}]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, ExecutionRoleArn=ROLE)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    yield name
    sagemaker.delete_endpoint(EndpointName=name)


@pytest.fixture
def model(sagemaker: Any, place: dict[str, str], store: Any) -> str:
    """A model whose container ends at once."""
    source = {"S3Uri": store("bundle/endpoint.json", {}), "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {"Image": "ml-platform:1", "ModelDataSource": {"S3DataSource": source}}
    sagemaker.create_model(ModelName=place["prefix"], PrimaryContainer=container, ExecutionRoleArn=ROLE)
    return place["prefix"]


def component(group: str, model: str, cpu: float = 1.0) -> dict[str, Any]:
    asked = {"NumberOfCpuCoresRequired": cpu, "MinMemoryRequiredInMb": 1024}
    return {
        "InferenceComponentName": f"{group}-late",
        "EndpointName": group,
        "VariantName": "all",
        "Specification": {"ModelName": model, "ComputeResourceRequirements": asked},
        "RuntimeConfig": {"CopyCount": 1},
    }


def settled(sagemaker: Any, name: str) -> dict[str, Any]:
    while (found := sagemaker.describe_inference_component(InferenceComponentName=name))[
        "InferenceComponentStatus"
    ].endswith("ing"):
        time.sleep(0.1)
    return found


def gone(sagemaker: Any, name: str) -> None:
    sagemaker.delete_inference_component(InferenceComponentName=name)
    with pytest.raises(ClientError, match="Could not find inference component"):
        settled(sagemaker, name)


@pytest.mark.parametrize(("cpu", "reason"), [(1.0, "ping health check"), (3.0, "could not be placed")])
def test_component_that_does_not_come_up_is_failed_with_its_reason(
    sagemaker: Any, runtime: Any, group: str, model: str, cpu: float, reason: str
) -> None:
    asked = component(group, model, cpu)
    name = asked["InferenceComponentName"]
    sagemaker.create_inference_component(**asked)
    found = settled(sagemaker, name)
    assert (found["InferenceComponentStatus"], reason in found["FailureReason"]) == ("Failed", True)
    with pytest.raises(ClientError, match="is not found"):
        runtime.invoke_endpoint(EndpointName=group, InferenceComponentName=name, Body=b"{}")
    with pytest.raises(ClientError, match="Cannot update in-progress"):
        sagemaker.update_inference_component(
            InferenceComponentName=name, Specification=component(group, model)["Specification"]
        )
    gone(sagemaker, name)


def test_endpoint_with_components_is_not_deleted(sagemaker: Any, group: str, model: str) -> None:
    asked = component(group, model)
    sagemaker.create_inference_component(**asked)
    with pytest.raises(ClientError, match=r"Cannot delete endpoint .* with inference components"):
        sagemaker.delete_endpoint(EndpointName=group)
    with pytest.raises(ClientError, match="Cannot create already existing inference component"):
        sagemaker.create_inference_component(**asked)
    settled(sagemaker, asked["InferenceComponentName"])
    listed = sagemaker.list_inference_components(EndpointNameEquals=group)["InferenceComponents"]
    assert [one["InferenceComponentName"] for one in listed] == [asked["InferenceComponentName"]]
    assert sagemaker.list_inference_components(EndpointNameEquals=f"{group}x")["InferenceComponents"] == []
    gone(sagemaker, asked["InferenceComponentName"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"EndpointName": "nowhere"}, "is not InService"),
        ({"VariantName": "other"}, "takes no inference components"),
        ({"Specification": {"ModelName": "none"}}, "Could not find model"),
    ],
)
def test_component_needs_what_it_names(
    sagemaker: Any, group: str, model: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        sagemaker.create_inference_component(**{**component(group, model), **change})


def test_configuration_without_a_model_needs_a_role(sagemaker: Any, place: dict[str, str]) -> None:
    variant = {"VariantName": "all", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    with pytest.raises(ClientError, match="ExecutionRoleArn is required"):
        sagemaker.create_endpoint_config(EndpointConfigName=place["prefix"], ProductionVariants=[variant])
