"""The shop on every cloud: one contract, a profile each, on stand-ins of its control plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import boto3
import pytest
from accounts import account, places
from databricks.sdk import WorkspaceClient

from ml_platform.testing.cloud_runs import CloudRunsContract
from ml_platform.testing.cloud_slice import CloudSliceContract
from ml_platform.testing.stand_in import Cloud
from resources.aws.testing import cloud as aws
from resources.databricks.testing import cloud as databricks
from resources.gcp.sdk import Vertex
from resources.gcp.testing import cloud as gcp


class TestTheShopOnAws(CloudSliceContract):
    profile = "aws"

    @pytest.fixture(scope="class", params=places("aws"))
    @classmethod
    def cloud(cls, request: pytest.FixtureRequest) -> Iterator[Cloud]:
        with aws.cloud() if request.param == "stand-in" else nullcontext(account("aws")) as cloud:
            yield cloud


class TestTheShopOnGoogleCloud(CloudSliceContract):
    profile = "gcp"

    @pytest.fixture(scope="class", params=places("gcp"))
    @classmethod
    def cloud(cls, request: pytest.FixtureRequest) -> Iterator[Cloud]:
        with gcp.cloud() if request.param == "stand-in" else nullcontext(account("gcp")) as cloud:
            yield cloud


class TestTheShopOnDatabricks(CloudSliceContract):
    profile = "databricks"

    @pytest.fixture(scope="class", params=places("databricks"))
    @classmethod
    def cloud(cls, request: pytest.FixtureRequest) -> Iterator[Cloud]:
        with databricks.cloud() if request.param == "stand-in" else nullcontext(account("databricks")) as cloud:
            yield cloud


class TestTheShopOnAMix(CloudSliceContract):
    """The lakehouse of one cloud, the jobs of another, the endpoint on this machine."""

    profile = "mixed"

    @pytest.fixture(scope="class", params=["stand-in"])
    @classmethod
    def cloud(cls) -> Iterator[Cloud]:
        with aws.cloud() as store, gcp.cloud() as jobs:
            both = {**store.environment, **jobs.environment}
            # The endpoint is an embedded one, which has no setting of a cloud's.
            mine = {name: value for name, value in both.items() if not name.startswith("ML_PLATFORM_ENDPOINT_HOST__")}
            yield Cloud(mine, jobs.inject, store.secrets + jobs.secrets, store.stores + jobs.stores)


class TestRunsOnAws(CloudRunsContract):
    profile = "aws"

    @pytest.fixture(scope="class")
    @classmethod
    def cloud(cls) -> Iterator[Cloud]:
        with aws.cloud() as cloud:
            yield cloud

    @pytest.fixture
    def jobs(self) -> Callable[[str], list[str]]:
        def names(environment: str) -> list[str]:
            client = boto3.client("sagemaker")
            found = client.list_training_jobs(NameContains=environment)["TrainingJobSummaries"]
            client.close()
            return [job["TrainingJobName"] for job in found]

        return names


class TestRunsOnGoogleCloud(CloudRunsContract):
    profile = "gcp"

    @pytest.fixture(scope="class")
    @classmethod
    def cloud(cls) -> Iterator[Cloud]:
        with gcp.cloud() as cloud:
            yield cloud

    @pytest.fixture
    def jobs(self, cloud: Cloud) -> Callable[[str], list[str]]:
        given = cloud.environment
        vertex = Vertex(
            *(given[f"ML_PLATFORM_{name}"] for name in ("GCP_PROJECT", "GCP_REGION", "JOB_RUNNER__API_ENDPOINT"))
        )

        def names(environment: str) -> list[str]:
            mine = {"parent": vertex.parent, "filter": f'labels.ml_platform_environment="{environment}"'}
            return [job.name for job in vertex.jobs.list_custom_jobs(request=mine)]

        return names


class TestRunsOnDatabricks(CloudRunsContract):
    profile = "databricks"

    @pytest.fixture(scope="class")
    @classmethod
    def cloud(cls) -> Iterator[Cloud]:
        with databricks.cloud() as cloud:
            yield cloud

    @pytest.fixture
    def jobs(self) -> Callable[[str], list[str]]:
        def ids(environment: str) -> list[str]:
            runs = WorkspaceClient().jobs.list_runs()
            return [str(run.run_id) for run in runs if str(run.run_name).startswith(f"{environment}-")]

        return ids
