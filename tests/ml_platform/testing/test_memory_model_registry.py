from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.errors import ServiceError, TransientServiceError
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from ml_platform.testing.model_registry import ModelRegistryContract


class TestMemoryModelRegistry(ModelRegistryContract):
    @pytest.fixture
    def registry(self) -> ModelRegistry:
        return MemoryModelRegistry()

    @pytest.fixture
    def another(self) -> ModelRegistry:
        return MemoryModelRegistry()


def test_a_registry_that_is_down_refuses_every_call() -> None:
    registry = MemoryModelRegistry()
    registry.down = True

    with pytest.raises(TransientServiceError, match="the registry is down"):
        registry.versions("late")


def test_what_was_altered_or_removed_by_hand_is_so(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "model.json").write_text("{}")
    registry = MemoryModelRegistry()
    registry.register("late", tmp_path / "package", {})
    registry.move_alias("late", "champion", 1)
    registry.remove_alias("late", "champion")
    assert registry.version("late", "champion") is None
    registry.alter("late", 1)
    with pytest.raises(ServiceError, match="was altered"):
        registry.fetch("late", 1, tmp_path / "fetched")
