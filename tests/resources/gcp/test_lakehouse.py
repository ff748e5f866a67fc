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
from ml_platform.testing.shop_slice import ShopSliceContract
from resources.embedded.compute import EmbeddedCompute
from resources.gcp.lakehouse import GcpLakehouse
from resources.gcp.testing.gcs import Gcs, gcs


@pytest.fixture(scope="module")
def store() -> Iterator[Gcs]:
    with gcs("lakehouse") as running:
        yield running


@pytest.fixture
def lakehouse(store: Gcs) -> GcpLakehouse:
    return GcpLakehouse(prefix=uuid4().hex, **store.settings)


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


@pytest.fixture
def bound(store: Gcs, lakehouse: GcpLakehouse, monkeypatch: pytest.MonkeyPatch) -> Binding:
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE", "gcp")
    for name, value in {**store.settings, "prefix": uuid4().hex}.items():
        monkeypatch.setenv(f"ML_PLATFORM_LAKEHOUSE__{name.upper()}", value)
    return binding.binding("lakehouse")


class TestShopOverGcpLakehouse(ShopSliceContract):
    @pytest.fixture
    def bound(self, bound: Binding) -> Binding:
        return bound


@pytest.mark.usefixtures("bound")
class TestConcurrentWritersOverGcpLakehouse(ConcurrentWritersContract):
    pass


def test_no_credential_is_a_setting(lakehouse: GcpLakehouse) -> None:
    found = [*lakehouse.table("a/b").storage_options, *inspect.signature(GcpLakehouse).parameters]
    assert not [name for name in found if "secret" in name or "key" in name or "token" in name]
