from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.engine.champion import champion_of
from ml_platform.errors import NotFoundError
from ml_platform.testing.memory_model_registry import MemoryModelRegistry


def test_the_champion_is_the_version_that_the_alias_names(tmp_path: Path) -> None:
    registry = MemoryModelRegistry()
    (tmp_path / "package").mkdir()
    registry.register("late", tmp_path / "package", {})
    registry.move_alias("late", "champion", 1)

    assert champion_of("models/late", registry).number == 1


def test_without_a_champion_the_error_says_what_to_make() -> None:
    with pytest.raises(NotFoundError, match="Materialize models/late and models/late__champion"):
        champion_of("models/late", MemoryModelRegistry())
