from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.testing import training_set
from ml_platform.testing.cloud_faults import CloudFaultsContract
from ml_platform.testing.endpoint_host import endpoint_spec, publish_views, write_package
from ml_platform.testing.stand_in import Cloud
from ml_platform.testing.store_faults import StoreFaultsContract
from resources.aws.endpoint_host import AwsEndpointHost
from resources.aws.lakehouse import AwsLakehouse
from resources.aws.prediction_log import AwsPredictionLog
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.feature_store import EmbeddedFeatureStore


@pytest.fixture
def given(place: dict[str, str]) -> dict[str, Any]:
    image, role = os.environ["ML_PLATFORM_IMAGE"], os.environ["ML_PLATFORM_AWS_ROLE"]
    return {"image": image, "role": role, **place, "poll_seconds": 0.1}


class TestFaultsOfAws(CloudFaultsContract):
    @pytest.fixture
    def cloud(self, cloud: Cloud) -> Cloud:
        return cloud

    @pytest.fixture
    def runner_binding(self, given: dict[str, Any]) -> ServiceBinding:
        return ServiceBinding("resources.aws.job_runner", "AwsJobRunner", given)

    @pytest.fixture
    def pin(self, place: dict[str, str]) -> dict[str, Any]:
        from deltalake import write_deltalake

        table = AwsLakehouse(**place).table("training_set")
        write_deltalake(table.uri, training_set.rows(), storage_options=table.options)
        return {"uri": table.uri, "version": 0, "storage_options": dict(table.storage_options)}

    @pytest.fixture
    def host(self, given: dict[str, Any]) -> AwsEndpointHost:
        return AwsEndpointHost(**given, lookup="caller")

    @pytest.fixture
    def endpoint(self, place: dict[str, str], tmp_path: Path) -> EndpointSpec:
        store = {"path": str(tmp_path / "features.sqlite")}
        publish_views(EmbeddedFeatureStore(**store))
        return endpoint_spec(
            {1: write_package(tmp_path / "package", rate=0.25)},
            ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
            ServiceBinding("resources.aws.prediction_log", "AwsPredictionLog", place),
        )

    @pytest.fixture
    def left(self, place: dict[str, str]) -> Callable[[], list[str]]:
        def names() -> list[str]:
            client = boto3.client("sagemaker")
            mine = {"NameContains": place["prefix"]}
            found = [
                *client.list_training_jobs(StatusEquals="InProgress", **mine)["TrainingJobSummaries"],
                *client.list_processing_jobs(StatusEquals="InProgress", **mine)["ProcessingJobSummaries"],
                *client.list_endpoints(**mine)["Endpoints"],
                *client.list_endpoint_configs(**mine)["EndpointConfigs"],
                *client.list_models(**mine)["Models"],
            ]
            client.close()
            return [value for each in found for name, value in each.items() if name.endswith("Name")]

        return names


class TestStoreFaultsOfAws(StoreFaultsContract):
    @pytest.fixture
    def cloud(self, cloud: Cloud) -> Cloud:
        return cloud

    @pytest.fixture
    def lakehouse(self, place: dict[str, str]) -> AwsLakehouse:
        return AwsLakehouse(**place)

    @pytest.fixture
    def compute(self, tmp_path: Path) -> EmbeddedCompute:
        return EmbeddedCompute(cache=str(tmp_path / "cache"))

    @pytest.fixture
    def opened(self, place: dict[str, str]) -> Callable[[], AwsPredictionLog]:
        return lambda: AwsPredictionLog(**place)


def test_service_that_is_not_stood_in_for_is_asked_nowhere(cloud: Cloud) -> None:
    client = boto3.client("sts", config=boto3.session.Config(retries={"total_max_attempts": 1}))
    with pytest.raises(EndpointConnectionError):
        client.get_caller_identity()
    client.close()
