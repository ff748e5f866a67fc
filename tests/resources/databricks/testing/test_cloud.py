from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient

from ml_platform.engine import delta
from ml_platform.engine.staging import stage
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.testing import training_set
from ml_platform.testing.cloud_faults import CloudFaultsContract
from ml_platform.testing.endpoint_host import endpoint_spec, publish_views, write_package
from ml_platform.testing.stand_in import Cloud
from ml_platform.testing.store_faults import StoreFaultsContract
from resources.databricks.endpoint_host import DatabricksEndpointHost
from resources.databricks.lakehouse import DatabricksLakehouse
from resources.databricks.prediction_log import DatabricksPredictionLog
from resources.databricks.testing.state import SECRET
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.feature_store import EmbeddedFeatureStore


class TestFaultsOfDatabricks(CloudFaultsContract):
    @pytest.fixture
    def cloud(self, cloud: Cloud) -> Cloud:
        return cloud

    @pytest.fixture
    def runner_binding(self, prefix: str) -> ServiceBinding:
        settings = {"catalog": "ml", "prefix": prefix, "image": "ml_platform:test", "poll_seconds": 0.2}
        return ServiceBinding("resources.databricks.job_runner", "DatabricksJobRunner", settings)

    @pytest.fixture
    def pin(self, lakehouse_in: Callable[[str], DatabricksLakehouse], prefix: str) -> dict[str, Any]:
        location, rows = lakehouse_in(prefix).table("training_sets/late"), training_set.rows()
        staged = stage(rows.to_batches(), rows.schema, location)
        commit = delta.commit(staged, read=None, replaced=(), transactions={}, evidence={})
        return delta.pinned(location, commit.version)

    @pytest.fixture
    def host(self, cloud: Cloud, prefix: str) -> DatabricksEndpointHost:
        environment = {"DATABRICKS_HOST": cloud.environment["DATABRICKS_HOST"], "DATABRICKS_TOKEN": SECRET}
        return DatabricksEndpointHost("ml", prefix, environment=environment, poll_seconds=0.2)

    @pytest.fixture
    def endpoint(self, prefix: str, tmp_path: Path) -> EndpointSpec:
        store = {"path": str(tmp_path / "features.sqlite")}
        publish_views(EmbeddedFeatureStore(**store))
        log = {"catalog": "ml", "prefix": prefix}
        return endpoint_spec(
            {1: write_package(tmp_path / "package", rate=0.25)},
            ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
            ServiceBinding("resources.databricks.prediction_log", "DatabricksPredictionLog", log),
        )

    @pytest.fixture
    def left(self, cloud: Cloud, prefix: str) -> Callable[[], list[str]]:
        def names() -> list[str]:
            client = WorkspaceClient()
            runs = [str(run.run_name) for run in client.jobs.list_runs(active_only=True)]
            endpoints = [str(endpoint.name) for endpoint in client.serving_endpoints.list()]
            return [name for name in (*runs, *endpoints) if name.startswith(f"{prefix}-")]

        return names


class TestStoreFaultsOfDatabricks(StoreFaultsContract):
    @pytest.fixture
    def cloud(self, cloud: Cloud) -> Cloud:
        return cloud

    @pytest.fixture
    def lakehouse(self, lakehouse_in: Callable[[str], DatabricksLakehouse], prefix: str) -> DatabricksLakehouse:
        return lakehouse_in(prefix)

    @pytest.fixture
    def compute(self, tmp_path: Path) -> EmbeddedCompute:
        return EmbeddedCompute(cache=str(tmp_path / "cache"))

    @pytest.fixture
    def opened(self, catalog: str, prefix: str) -> Callable[[], DatabricksPredictionLog]:
        return lambda: DatabricksPredictionLog(catalog, prefix)


def test_what_is_told_of_the_cloud_is_nobodys(cloud: Cloud) -> None:
    secret = {name: value for name, value in cloud.environment.items() if "TOKEN" in name or "KEY" in name}
    assert secret == {"DATABRICKS_TOKEN": "dapi-nobody"}
