from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from accounts import account as account_of
from accounts import places

from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.testing import training_set
from ml_platform.testing.endpoint_host import endpoint_spec, publish_views, write_package
from ml_platform.testing.stand_in import Cloud
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.gcp.lakehouse import GcpLakehouse
from resources.gcp.sdk import Vertex
from resources.gcp.testing import cloud as stand_ins


@dataclass(frozen=True)
class Account:
    """A project, and what adapters are told of it. prefix: of one environment in it."""

    cloud: Cloud
    prefix: str

    @property
    def place(self) -> dict[str, str]:
        return {"bucket": self.cloud.environment["ML_PLATFORM_GCP_BUCKET"], "prefix": self.prefix}

    @property
    def settings(self) -> dict[str, Any]:
        """Those that the job runner and the endpoint host share."""
        given = self.cloud.environment
        return {
            **self.place,
            "image": given["ML_PLATFORM_IMAGE"],
            "project": given["ML_PLATFORM_GCP_PROJECT"],
            "region": given["ML_PLATFORM_GCP_REGION"],
            "service_account": given["ML_PLATFORM_GCP_SERVICE_ACCOUNT"],
            "api_endpoint": given.get("ML_PLATFORM_JOB_RUNNER__API_ENDPOINT", ""),
            "poll_seconds": float(given.get("ML_PLATFORM_JOB_RUNNER__POLL_SECONDS", "5")),
        }

    @property
    def vertex(self) -> Vertex:
        return Vertex(*(self.settings[name] for name in ("project", "region", "api_endpoint")))

    def running(self) -> list[str]:
        """What of the environment runs or is there to run: jobs that have not ended, endpoints, models."""
        mine = {"parent": self.vertex.parent, "filter": f'labels.ml_platform_environment="{self.prefix}"'}
        jobs = [job for job in self.vertex.jobs.list_custom_jobs(request=mine) if not job.end_time]
        endpoints = self.vertex.endpoints.list_endpoints(request=mine)
        return [found.name for found in (*jobs, *endpoints, *self.vertex.models.list_models(request=mine))]


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Cloud]:
    """The stand-ins, one project for every test."""
    with stand_ins.cloud() as cloud:
        yield cloud


@pytest.fixture(scope="session", params=places("gcp"))
def gcp(request: pytest.FixtureRequest) -> Cloud:
    """The project under test: the stand-ins, or whoever runs the tests has one."""
    if request.param == "account":
        return account_of("gcp")
    return request.getfixturevalue("stand_in")


@pytest.fixture
def cloud(gcp: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The project, where the SDKs of this process find it."""
    for name, value in gcp.environment.items():
        monkeypatch.setenv(name, value)
    return gcp


@pytest.fixture
def account(cloud: Cloud) -> Account:
    return Account(cloud, f"t{uuid4().hex[:8]}")


@pytest.fixture
def gcp_pin(account: Account) -> dict[str, Any]:
    from deltalake import write_deltalake

    table = GcpLakehouse(**account.place).table("training_set")
    write_deltalake(table.uri, training_set.rows())
    return {"uri": table.uri, "version": 0}


@pytest.fixture
def gcp_spec(account: Account, tmp_path: Path) -> EndpointSpec:
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    return endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.gcp.prediction_log", "GcpPredictionLog", account.place),
    )
