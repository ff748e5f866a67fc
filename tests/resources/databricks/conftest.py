from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from uuid import uuid4

import httpx
import pytest
from accounts import account, places

from ml_platform.testing.stand_in import Cloud
from resources.databricks.job_runner import DatabricksJobRunner
from resources.databricks.lakehouse import DatabricksLakehouse
from resources.databricks.testing import cloud as stand_in
from resources.databricks.testing.workspace import LIFETIME


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
