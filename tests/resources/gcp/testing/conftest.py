from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from ml_platform.testing.stand_in import Cloud
from resources.gcp.sdk import Vertex
from resources.gcp.testing.gcs import gcs


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with gcs("shelf") as store, httpx.Client(base_url=store.address) as client:
        yield client


@pytest.fixture(scope="session")
def gcp(stand_in: Cloud) -> Cloud:
    """The stand-ins, and never an account."""
    return stand_in


@pytest.fixture
def stood_in(stand_in: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The stand-ins, where the SDKs of this process find them."""
    for name, value in stand_in.environment.items():
        monkeypatch.setenv(name, value)
    return stand_in


@pytest.fixture
def vertex(stood_in: Cloud) -> Vertex:
    """Google's own clients of the stand-in, in a region of the test's own."""
    address = stood_in.environment["ML_PLATFORM_JOB_RUNNER__API_ENDPOINT"]
    return Vertex("nobodys-project", f"region-{uuid4().hex[:8]}", address)


@pytest.fixture
def raw(vertex: Vertex) -> Iterator[httpx.Client]:
    """The stand-in without a client of Google's before it."""
    with httpx.Client(base_url=f"{vertex._api_endpoint}/v1/{vertex.parent}") as client:
        yield client


def job_of(*words: str, **changes: Any) -> dict[str, Any]:
    """A custom job whose container runs that Python module."""
    pool = {
        "machine_spec": {"machine_type": "e2-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "image", "command": ["python", "-m"], "args": list(words)},
    }
    return {"display_name": "a job", "job_spec": {"worker_pool_specs": [pool], **changes}}


@pytest.fixture
def make_job() -> Any:
    return job_of
