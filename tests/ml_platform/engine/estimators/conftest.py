"""A fit task on the training set with a known signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ml_platform.engine.encoding import Encoding
from ml_platform.engine.estimators import completed
from ml_platform.engine.estimators.contract import FitTask
from ml_platform.engine.package import Feature
from ml_platform.testing import training_set

_KNOWN = {"carrier": ("AA", "DL", "UA")}


class Splits:
    """The encoded splits, their labels, and the true chance of each row."""

    def __init__(self) -> None:
        self.features = tuple(Feature(name, kind, _KNOWN.get(name, ())) for name, kind in training_set.FEATURES.items())
        table = training_set.rows()
        matrix = Encoding(self.features).matrix(training_set.columns(table))
        label = table.column("late").to_numpy().astype(np.float64)
        split = table.column("split").to_numpy()
        self.of = {name: (matrix[split == name], label[split == name]) for name in training_set.SPLIT_ROWS}
        self.chance = {name: table.column("chance").to_numpy()[split == name] for name in training_set.SPLIT_ROWS}


@pytest.fixture(scope="session")
def splits() -> Splits:
    return Splits()


@pytest.fixture
def task(splits: Splits) -> Callable[..., FitTask]:
    def make(estimator: str, seed: int = 1, **parameters: Any) -> FitTask:
        return FitTask(
            features=splits.features,
            train=splits.of["train"],
            validate=splits.of["validate"],
            parameters=completed(estimator, parameters),
            seed=seed,
            threads=2,
            progress=lambda *_: None,
        )

    return make
