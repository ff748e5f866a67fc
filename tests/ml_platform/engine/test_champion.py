from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.engine.champion import champion_of, version_named
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


def test_a_version_goes_by_a_name_and_an_alias_or_number(tmp_path: Path) -> None:
    registry = MemoryModelRegistry()
    (tmp_path / "package").mkdir()
    registry.register("late", tmp_path / "package", {})
    registry.move_alias("late", "champion", 1)

    for reference in ("late", "late@1", "late@champion", "models/late@champion"):
        assert version_named(reference, registry).number == 1
    with pytest.raises(NotFoundError, match="Did you mean champion"):
        version_named("late@champoin", registry)
    with pytest.raises(NotFoundError, match="Did you mean late"):
        version_named("models/lat@champion", registry)
