from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_platform.engine.rolled_out import TAG, Ended, ended, tell, went_back
from ml_platform.engine.rollout import State, Target, rolled_back
from ml_platform.records.model import ModelVersion
from ml_platform.testing.endpoint_host import write_package
from ml_platform.testing.memory_model_registry import MemoryModelRegistry

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SERVED = State(Target(1, "a"), None, "served", since=NOW)
BACK = rolled_back(State(Target(1, "a"), Target(2, "b"), "step", share=0.5), ["Broken: error_share is 1 of 5."])


@pytest.fixture
def registry(tmp_path: Path) -> MemoryModelRegistry:
    registry = MemoryModelRegistry()
    registry.register("late", write_package(tmp_path / "package", rate=0.5), {})
    return registry


def version(registry: MemoryModelRegistry) -> ModelVersion:
    found = registry.version("late", "1")
    assert found is not None
    return found


def test_a_version_says_which_endpoint_went_back_from_it_and_why(registry: MemoryModelRegistry) -> None:
    tell("endpoints/early", SERVED, NOW, "late", registry)
    tell("endpoints/late", BACK, NOW, "late", registry)
    assert [*ended(version(registry))] == ["endpoints/early", "endpoints/late"]
    assert went_back(version(registry)) == (
        "endpoints/late went back from version 1, at 2026-01-05T12:00:00+00:00: Broken: error_share is 1 of 5.",
    )


def test_one_that_serves_after_another_try_went_back_nowhere(registry: MemoryModelRegistry) -> None:
    tell("endpoints/late", BACK, NOW, "late", registry)
    tell("endpoints/late", SERVED, NOW + timedelta(hours=1), "late", registry)
    assert went_back(version(registry)) == ()
    assert ended(version(registry)) == {"endpoints/late": Ended("served", "2026-01-05T13:00:00+00:00")}


def test_what_is_on_its_way_or_told_already_or_gone_is_not_told(registry: MemoryModelRegistry) -> None:
    tell("endpoints/late", State(Target(1, "a"), None, "loaded"), NOW, "late", registry)
    tell("endpoints/late", State(Target(9, "z"), None, "served"), NOW, "late", registry)
    assert TAG not in version(registry).tags
    tell("endpoints/late", SERVED, NOW, "late", registry)
    first = version(registry).tags[TAG]
    tell("endpoints/late", SERVED, NOW + timedelta(hours=1), "late", registry)
    assert version(registry).tags[TAG] == first
