from __future__ import annotations

from typing import Any

import boto3
import pytest

from ml_platform.errors import ServiceError
from resources.aws.control_plane import ControlPlane, moving

VARIANT = {
    "VariantName": "group",
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 1,
    "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2},
}
ROLE = "arn:aws:iam::123456789012:role/ml-platform"


@pytest.fixture
def plane(place: dict[str, str]) -> ControlPlane:
    return ControlPlane(place["prefix"], place["region"], 0.05, 0.2)


def test_what_is_made_carries_the_tag_and_may_be_made_twice(plane: ControlPlane) -> None:
    name = f"{plane.prefix}-x"
    for _ in range(2):
        plane.create("endpoint_config", EndpointConfigName=name, ProductionVariants=[VARIANT], ExecutionRoleArn=ROLE)
    found = plane.ours("describe_endpoint_config", "EndpointConfig", name)
    assert found is not None
    assert plane.tags(found["EndpointConfigArn"]) == {"ml_platform_environment": plane.prefix}
    assert plane.names("list_endpoint_configs", "EndpointConfig", NameContains=name) == [name]
    plane.call("delete_endpoint_config", EndpointConfigName=name)
    assert plane.ours("describe_endpoint_config", "EndpointConfig", name) is None


def test_what_has_our_name_and_not_our_tag_is_somebody_elses(plane: ControlPlane) -> None:
    client, name = boto3.client("sagemaker"), f"{plane.prefix}-theirs"
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[VARIANT], ExecutionRoleArn=ROLE)
    with pytest.raises(ServiceError, match=r"without the tag ml_platform_environment=.* It is somebody else's"):
        plane.ours("describe_endpoint_config", "EndpointConfig", name)
    client.delete_endpoint_config(EndpointConfigName=name)
    client.close()


def test_what_never_settles_is_told_by_its_name(plane: ControlPlane) -> None:
    stuck: dict[str, Any] = {"InferenceComponentName": "late", "InferenceComponentStatus": "Updating"}
    with pytest.raises(ServiceError, match=r"inference component late is Updating after 0\.2 seconds"):
        plane.settled(lambda: stuck, "InferenceComponent")
    assert not moving(None, "Endpoint")
