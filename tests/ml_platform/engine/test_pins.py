from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_platform.engine.pins import ERASED, pins
from ml_platform.errors import TransientServiceError
from ml_platform.records.upkeep import Pin
from ml_platform.testing.memory_model_registry import MemoryModelRegistry


@pytest.fixture
def registry(tmp_path: Path) -> MemoryModelRegistry:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "card.json").write_text("{}")
    return MemoryModelRegistry()


def register(registry: MemoryModelRegistry, name: str, package: Path, version: int | None) -> str:
    pin = json.dumps({"key": "training_sets/late", "version": version, "fingerprint": "f"})
    return registry.register(name, package, {} if version is None else {"training_set": pin}).digest


def test_every_version_of_every_model_pins_what_it_learned_from(registry: MemoryModelRegistry, tmp_path: Path) -> None:
    digest = register(registry, "late", tmp_path / "package", 3)
    register(registry, "late", tmp_path / "package", 7)
    register(registry, "early", tmp_path / "package", 3)
    assert pins(registry) == (
        Pin("early", 1, digest, "training_sets/late", 3),
        Pin("late", 1, digest, "training_sets/late", 3),
        Pin("late", 2, digest, "training_sets/late", 7),
    )


def test_a_version_that_learned_from_no_table_pins_none(registry: MemoryModelRegistry, tmp_path: Path) -> None:
    register(registry, "foreign", tmp_path / "package", None)
    assert pins(registry) == ()


def test_a_registry_that_does_not_answer_is_not_one_without_pins(registry: MemoryModelRegistry) -> None:
    registry.down = True
    with pytest.raises(TransientServiceError):
        pins(registry)


def test_a_version_from_elsewhere_pins_what_it_is_examined_on(registry: MemoryModelRegistry, tmp_path: Path) -> None:
    pin = json.dumps({"key": "training_sets/late", "version": 5, "fingerprint": "f"})
    digest = registry.register("late", tmp_path / "package", {"examined_on": pin}).digest
    assert pins(registry) == (Pin("late", 1, digest, "training_sets/late", 5),)


def test_a_pin_that_an_erasure_broke_holds_nothing(registry: MemoryModelRegistry, tmp_path: Path) -> None:
    digest = register(registry, "late", tmp_path / "package", 3)
    registry.record("late", 1, {ERASED: json.dumps(["training_sets/late"])})
    assert pins(registry) == ()
    assert pins(registry, broken=True) == (Pin("late", 1, digest, "training_sets/late", 3),)
