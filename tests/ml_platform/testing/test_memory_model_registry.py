from __future__ import annotations

import pytest

from ml_platform.errors import TransientServiceError
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from ml_platform.testing.model_registry import ModelRegistryContract


class TestMemoryModelRegistry(ModelRegistryContract):
    @pytest.fixture
    def registry(self) -> ModelRegistry:
        return MemoryModelRegistry()


def test_a_registry_that_is_down_refuses_every_call() -> None:
    registry = MemoryModelRegistry()
    registry.down = True

    with pytest.raises(TransientServiceError, match="the registry is down"):
        registry.versions("late")
