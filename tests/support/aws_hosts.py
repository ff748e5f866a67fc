"""Hosts of endpoints on SageMaker, as tests of them stand on."""

from __future__ import annotations

import os
from typing import Any

import boto3

from ml_platform.testing.endpoint_host import infer_request
from resources.aws.endpoint_host import AwsEndpointHost


def host_in(place: dict[str, str], **settings: Any) -> AwsEndpointHost:
    """A host of the environment; features are looked up by the caller."""
    image, role = os.environ["ML_PLATFORM_IMAGE"], os.environ["ML_PLATFORM_AWS_ROLE"]
    return AwsEndpointHost(image, role, **place, lookup="caller", **{"poll_seconds": 0.1, **settings})


def rates(host: AwsEndpointHost, count: int, name: str = "arrival_delay") -> list[float]:
    """What the endpoint answers, one request after the other."""
    return [host.invoke(name, infer_request("UA1"))["outputs"][0]["data"][0] for _ in range(count)]


def standing(place: dict[str, str]) -> list[str]:
    """Configurations and models of the environment."""
    client = boto3.client("sagemaker")
    mine = {"NameContains": place["prefix"]}
    configs = [found["EndpointConfigName"] for found in client.list_endpoint_configs(**mine)["EndpointConfigs"]]
    models = [found["ModelName"] for found in client.list_models(**mine)["Models"]]
    client.close()
    return sorted([*configs, *models])
