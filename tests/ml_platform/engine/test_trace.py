from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine.declared import Declared
from ml_platform.engine.predictions import Answer
from ml_platform.engine.trace import trace
from ml_platform.errors import NotFoundError
from ml_platform.records.feature import FeatureView
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse


def test_a_version_that_the_registry_has_not_is_named(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> None:
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    answer = Answer("abc-0", "endpoints/late", "the log", "models/late", 7, moment, moment, {}, {}, {}, 0.5)
    with pytest.raises(NotFoundError, match="abc-0 was answered by models/late version 7, but the registry has none"):
        trace(answer, Declared(()), MemoryModelRegistry(), lakehouse, compute)


def test_a_view_that_was_looked_up_by_what_the_log_hides_is_told_so(
    put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute, tmp_path: Path
) -> None:
    # given an entity that is a number, which no hash can be compared with
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    put("features/tail_v1", {"tail": [7], "at": [moment], "known_at": [moment], "age": [3.0]})
    view = FeatureView("tail_v1", ("tail",), ("age",), 24.0, "at")
    registry = MemoryModelRegistry()
    registry.register("late", tmp_path, {})
    hashed, used = {"tail": "5bdcc146bf60754e"}, {"tail_v1": moment.isoformat()}
    answer = Answer("abc-0", "endpoints/late", "the log", "models/late", 1, moment, None, hashed, {}, used, 0.5)
    declared = Declared((), views={"features/tail_v1": view}, redacted={"late": ["tail"]})
    (seen,) = trace(answer, declared, registry, lakehouse, compute).seen
    assert (seen.row, seen.told) == (None, "its row cannot be told, for the log has tail only hashed")
