"""The baseline: the training set's rate of positive labels, said of every row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.estimators.contract import FitTask, Matrix, Parameters
from ml_platform.engine.package import Feature, read_json, write_json

_FILE = "rate.json"


class BaselineEstimator:
    """What any model has to beat.

    rate: the constant probability, in 0–1.
    """

    defaults: ClassVar[Parameters] = {}

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @classmethod
    def fit(cls, task: FitTask) -> Self:
        """The rate of the train split's labels."""
        return cls(float(np.mean(task.train[1])))

    @classmethod
    def load(cls, package: Path, features: tuple[Feature, ...]) -> Self:
        """As it was saved in `rate.json`."""
        return cls(float(read_json(package / _FILE)["rate"]))

    def save(self, package: Path) -> None:
        """`rate.json` holds the rate."""
        write_json(package / _FILE, {"rate": self.rate})

    def score(self, matrix: Matrix) -> NDArray[np.float64]:
        """The rate, for every row."""
        return np.full(len(matrix), self.rate)

    def importance(self) -> Mapping[str, float]:
        """Empty: no feature is looked at."""
        return {}
