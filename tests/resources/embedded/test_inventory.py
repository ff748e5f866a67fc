from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from ml_platform.records.feature import FeatureView
from ml_platform.records.inventory import Owned
from ml_platform.testing.inventory import InventoryContract
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.inventory import EmbeddedInventory

VIEW = FeatureView("late_v1", ("flight_id",), ("delay",), 24.0)
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def _inventory(folder: Path, environment: str) -> EmbeddedInventory:
    own = folder / environment
    return EmbeddedInventory(str(folder / "endpoints"), str(own / "jobs"), str(own / "features.sqlite"), environment)


def _published(folder: Path) -> Owned:
    rows = pa.table({"flight_id": ["a"], "event_time": [NOW], "known_at": [NOW], "delay": [1.0]})
    EmbeddedFeatureStore(str(folder / "test" / "features.sqlite")).publish(VIEW, rows.to_batches(), NOW, "1")
    return Owned("view", "late_v1")


class TestEmbeddedInventory(InventoryContract):
    @pytest.fixture
    def inventory(self, tmp_path: Path) -> EmbeddedInventory:
        return _inventory(tmp_path, "test")

    @pytest.fixture
    def another(self, tmp_path: Path) -> EmbeddedInventory:
        return _inventory(tmp_path, "other")

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Callable[[], Owned]:
        return lambda: _published(tmp_path)

    def test_another_environment_neither_finds_nor_removes_it(self, inventory, another, kept):  # type: ignore[no-untyped-def]
        kept()
        assert another.found([]) == []
        another.remove(Owned("view", "late_v1"))  # a store of its own, in which there is none
        assert len(inventory.found([])) == 1

    def test_only_a_job_that_goes_on_is_found(self, inventory: EmbeddedInventory, tmp_path: Path) -> None:
        me = psutil.Process()
        for name, record in {
            "late-1": {"state": "running", "pid": me.pid, "started": me.create_time()},
            "late-2": {"state": "succeeded", "pid": 1, "started": 0},
        }.items():
            folder = tmp_path / "test" / "jobs" / name
            folder.mkdir(parents=True)
            (folder / "spec.json").write_text("{}")
            (folder / "status.json").write_text(json.dumps(record))
        assert [(one.kind, one.name) for one in inventory.found([])] == [("job", "late-1")]
