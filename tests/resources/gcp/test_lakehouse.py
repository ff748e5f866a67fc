from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from ml_platform import binding
from ml_platform.binding import Binding
from ml_platform.testing.compute import ComputeContract
from ml_platform.testing.concurrent_writers import ConcurrentWritersContract
from ml_platform.testing.lakehouse import LakehouseContract
from ml_platform.testing.landing import ObjectStoreLandingContract
from resources.embedded.compute import EmbeddedCompute
from resources.gcp.lakehouse import GcpLakehouse


@pytest.fixture
def lakehouse(account: Any) -> GcpLakehouse:
    return GcpLakehouse(**account.place)


class TestGcpLakehouse(LakehouseContract):
    @pytest.fixture
    def lakehouse(self, lakehouse: GcpLakehouse) -> GcpLakehouse:
        return lakehouse


class TestEmbeddedComputeOverGcpLakehouse(ComputeContract):
    @pytest.fixture
    def compute(self, tmp_path: Path) -> EmbeddedCompute:
        return EmbeddedCompute(cache=str(tmp_path / "cache"))

    @pytest.fixture
    def lakehouse(self, lakehouse: GcpLakehouse) -> GcpLakehouse:
        return lakehouse


class TestLandingFromCloudStorage(ObjectStoreLandingContract):
    @pytest.fixture
    def lakehouse(self, lakehouse: GcpLakehouse) -> GcpLakehouse:
        return lakehouse

    @pytest.fixture
    def origin(self, account: Any) -> str:
        return f"gs://{account.place['bucket']}/{account.prefix}-dropped"


@pytest.fixture
def bound(account: Any, monkeypatch: pytest.MonkeyPatch) -> Binding:
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE", "gcp")
    for name, value in account.place.items():
        monkeypatch.setenv(f"ML_PLATFORM_LAKEHOUSE__{name.upper()}", value)
    return binding.binding("lakehouse")


@pytest.mark.usefixtures("bound")
class TestConcurrentWritersOverGcpLakehouse(ConcurrentWritersContract):
    pass


def test_no_credential_and_no_path_of_this_machine_travels_with_a_location(lakehouse: GcpLakehouse) -> None:
    assert lakehouse.table("a/b").options == {}
    assert list(inspect.signature(GcpLakehouse).parameters) == ["bucket", "prefix"]
