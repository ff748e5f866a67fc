"""Lessons for tests of what learns: two features, of which one tells."""

from __future__ import annotations

from typing import Any

from ml_platform.engine.learning import Learning
from ml_platform.engine.package import Feature


def binary(matrix: Any, label: Any, train: int) -> Learning:
    """A binary lesson whose first rows, so many, are fitted on, and whose others are tuned on."""
    return Learning(
        task="binary",
        features=(Feature("tells", "number"), Feature("silent", "number")),
        classes=(),
        train=(matrix[:train], label[:train]),
        validate=(matrix[train:], label[train:]),
        steps=(),
        class_weights={},
        calibration="none",
        seed=1,
        threads=1,
        source="",
        progress=lambda *_: None,
    )
