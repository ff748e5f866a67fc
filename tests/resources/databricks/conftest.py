from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from accounts import account, places

from ml_platform.engine import delta
from ml_platform.engine.staging import stage
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.testing import training_set
from ml_platform.testing.endpoint_host import endpoint_spec, publish_views, write_package
from ml_platform.testing.stand_in import Cloud
from resources.databricks.endpoint_host import DatabricksEndpointHost
from resources.databricks.job_runner import DatabricksJobRunner
from resources.databricks.lakehouse import DatabricksLakehouse
from resources.databricks.testing import cloud as stand_in
from resources.databricks.testing.state import SECRET
from resources.databricks.testing.workspace import LIFETIME
from resources.embedded.feature_store import EmbeddedFeatureStore


@pytest.fixture(scope="session", params=places("databricks"))
def databricks(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """One workspace for every test; each test has a prefix of its own in it."""
    with nullcontext(account("databricks")) if request.param == "account" else stand_in.cloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(databricks: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The workspace, where the SDK of this process finds it."""
    for name, value in databricks.environment.items():
        monkeypatch.setenv(name, value)
    return databricks


@pytest.fixture
def prefix(cloud: Cloud) -> str:
    """An environment that nobody has used."""
    return f"t{uuid4().hex[:8]}"


@pytest.fixture
def catalog(cloud: Cloud) -> str:
    return cloud.environment["ML_PLATFORM_DATABRICKS_CATALOG"]


@pytest.fixture
def lakehouse_in(cloud: Cloud, catalog: str) -> Callable[[str], DatabricksLakehouse]:
    """The lakehouse of an environment."""
    location, region = (
        cloud.environment[name] for name in ("ML_PLATFORM_DATABRICKS_LOCATION", "ML_PLATFORM_DATABRICKS_REGION")
    )
    return lambda prefix: DatabricksLakehouse(catalog, location, prefix, region)


@pytest.fixture
def runner_in(cloud: Cloud, catalog: str) -> Callable[..., DatabricksJobRunner]:
    """The job runner of an environment, its settings changed as asked."""
    image = cloud.environment["ML_PLATFORM_IMAGE"]
    return lambda prefix, **settings: DatabricksJobRunner(catalog, prefix, image, **{"poll_seconds": 0.2, **settings})


@pytest.fixture
def lifetime(cloud: Cloud) -> Iterator[Callable[[float], None]]:
    """Sets how many seconds lent credentials last, until the test ends."""

    def last(seconds: float) -> None:
        address = cloud.environment["DATABRICKS_HOST"]
        httpx.put(f"{address}{LIFETIME}/{seconds}", trust_env=False).raise_for_status()

    yield last
    last(3600.0)


@pytest.fixture
def workspace(cloud: Cloud) -> Cloud:
    """The same, for tests that make the cloud's parts themselves."""
    return cloud


@pytest.fixture
def host(workspace: Cloud, catalog: str, prefix: str) -> Iterator[DatabricksEndpointHost]:
    environment = {"DATABRICKS_HOST": workspace.environment["DATABRICKS_HOST"], "DATABRICKS_TOKEN": SECRET}
    host = DatabricksEndpointHost(catalog, prefix, environment=environment, poll_seconds=0.2)
    yield host
    host.retire("arrival_delay")


@pytest.fixture
def spec(catalog: str, prefix: str, tmp_path: Path) -> EndpointSpec:
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    return endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding(
            "resources.databricks.prediction_log", "DatabricksPredictionLog", {"catalog": catalog, "prefix": prefix}
        ),
    )


@pytest.fixture
def pin(lakehouse_in: Callable[[str], DatabricksLakehouse], prefix: str) -> dict[str, Any]:
    location, rows = lakehouse_in(prefix).table("training_sets/late"), training_set.rows()
    staged = stage(rows.to_batches(), rows.schema, location)
    commit = delta.commit(staged, read=None, replaced=(), transactions={}, evidence={})
    return delta.pinned(location, commit.version)
