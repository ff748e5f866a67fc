from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ml_platform import binding
from ml_platform.binding import Binding
from ml_platform.testing.compute import ComputeContract
from ml_platform.testing.concurrent_writers import ConcurrentWritersContract
from ml_platform.testing.lakehouse import LakehouseContract
from resources.aws.lakehouse import AwsLakehouse
from resources.aws.testing.s3 import S3, s3
from resources.embedded.compute import EmbeddedCompute


@pytest.fixture(scope="module")
def store() -> Iterator[S3]:
    with s3("lakehouse") as running:
        yield running


@pytest.fixture
def lakehouse(store: S3, monkeypatch: pytest.MonkeyPatch) -> AwsLakehouse:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return AwsLakehouse(prefix=uuid4().hex, **store.settings)


class TestAwsLakehouse(LakehouseContract):
    @pytest.fixture
    def lakehouse(self, lakehouse: AwsLakehouse) -> AwsLakehouse:
        return lakehouse


class TestEmbeddedComputeOverAwsLakehouse(ComputeContract):
    @pytest.fixture
    def compute(self, tmp_path: Path) -> EmbeddedCompute:
        return EmbeddedCompute(cache=str(tmp_path / "cache"))

    @pytest.fixture
    def lakehouse(self, lakehouse: AwsLakehouse) -> AwsLakehouse:
        return lakehouse


@pytest.fixture
def bound(store: S3, lakehouse: AwsLakehouse, monkeypatch: pytest.MonkeyPatch) -> Binding:
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE", "aws")
    for name, value in {**store.settings, "prefix": uuid4().hex}.items():
        monkeypatch.setenv(f"ML_PLATFORM_LAKEHOUSE__{name.upper()}", value)
    return binding.binding("lakehouse")


@pytest.mark.usefixtures("bound")
class TestConcurrentWritersOverAwsLakehouse(ConcurrentWritersContract):
    pass


def test_no_credential_is_a_setting(lakehouse: AwsLakehouse) -> None:
    found = [*lakehouse.table("a/b").storage_options, *inspect.signature(AwsLakehouse).parameters]
    assert not [name for name in found if "secret" in name or "key" in name or "token" in name]


def test_store_is_where_amazons_sdk_would_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"bucket": "bucket", "prefix": "dev", "region": "eu-central-1"}
    assert AwsLakehouse(**place).table("a").storage_options == {
        "aws_region": "eu-central-1",
        "aws_conditional_put": "etag",
    }
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    found = AwsLakehouse(**place).table("a").storage_options
    assert (found["aws_endpoint_url"], found["aws_allow_http"]) == ("http://127.0.0.1:1", "true")
    assert AwsLakehouse(**place, endpoint_url="https://minio").files("a").storage_options["aws_endpoint_url"] == (
        "https://minio"
    )
