from __future__ import annotations

from collections.abc import Iterator

import pytest
from databricks.sdk import WorkspaceClient

from ml_platform.testing.stand_in import Cloud
from resources.databricks.testing import cloud as stand_in

VOLUME = "/Volumes/ml/ml_platform/ml_platform"


@pytest.fixture(scope="session")
def databricks() -> Iterator[Cloud]:
    """A workspace of these tests' own, never an account."""
    with stand_in.cloud() as cloud:
        yield cloud


@pytest.fixture
def client(cloud: Cloud) -> WorkspaceClient:
    """The vendor's own client."""
    return WorkspaceClient()


@pytest.fixture
def folder(prefix: str) -> str:
    """A folder of the volume that nobody has used."""
    return f"{VOLUME}/{prefix}"
