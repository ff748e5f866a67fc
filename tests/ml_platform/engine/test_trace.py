from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml_platform.engine.declared import Declared
from ml_platform.engine.predictions import Answer
from ml_platform.engine.trace import trace
from ml_platform.errors import NotFoundError
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse


def test_a_version_that_the_registry_has_not_is_named(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> None:
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    answer = Answer("abc-0", "endpoints/late", "the log", "models/late", 7, moment, moment, {}, {}, {}, 0.5)
    with pytest.raises(NotFoundError, match="abc-0 was answered by models/late version 7, but the registry has none"):
        trace(answer, Declared(()), MemoryModelRegistry(), lakehouse, compute)
