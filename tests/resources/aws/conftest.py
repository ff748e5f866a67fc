from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from accounts import account, places

from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.testing.endpoint_host import endpoint_spec, publish_views, write_package
from ml_platform.testing.stand_in import Cloud
from resources.aws.testing import cloud as stand_ins
from resources.embedded.feature_store import EmbeddedFeatureStore


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Cloud]:
    """The stand-ins, one account for every test."""
    with stand_ins.cloud() as cloud:
        yield cloud


@pytest.fixture(scope="session", params=places("aws"))
def aws(request: pytest.FixtureRequest) -> Cloud:
    """The account under test, the stand-ins' or that of whoever runs the tests; each test has a prefix of its own."""
    if request.param == "stand-in":
        return request.getfixturevalue("stand_in")
    return account("aws")


@pytest.fixture
def cloud(aws: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The account, where the SDK of this process finds it."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return aws


@pytest.fixture
def place(cloud: Cloud) -> dict[str, str]:
    """Bucket, prefix and region of one environment of the account."""
    prefix = f"t{uuid4().hex[:8]}"
    return {"bucket": os.environ["ML_PLATFORM_AWS_BUCKET"], "prefix": prefix, "region": os.environ["AWS_REGION"]}


@pytest.fixture
def spec(place: dict[str, str], tmp_path: Path) -> EndpointSpec:
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    return endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.aws.prediction_log", "AwsPredictionLog", place),
    )


@pytest.fixture
def both(spec: EndpointSpec, tmp_path: Path) -> EndpointSpec:
    """The endpoint with versions 1 and 2, which answer 0.25 and 0.75, to a quarter and three quarters."""
    packages = {**spec.packages, 2: str(write_package(tmp_path / "second", rate=0.75))}
    return replace(spec, packages=packages, split=TrafficSplit({1: 0.25, 2: 0.75}))
