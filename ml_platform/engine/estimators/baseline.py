"""The baseline: what the training set's labels are on the whole, said of every row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np

from ml_platform.engine.estimators.contract import FitTask, Matrix
from ml_platform.engine.package import Feature, read_json, write_json

_FILE = "rate.json"


class BaselineEstimator:
    """What any model has to beat.

    rate: the constant probability in 0–1, one per class, or the constant value.
    """

    def __init__(self, rate: float | list[float]) -> None:
        self.rate = rate

    @classmethod
    def fit(cls, task: FitTask) -> Self:
        """The rate of the train split's labels, their shares, or their mean; row weights do not count."""
        label = task.train[1]
        if task.task == "multiclass":
            return cls((np.bincount(label.astype(np.int64), minlength=task.classes) / len(label)).tolist())
        return cls(float(np.mean(label)))

    @classmethod
    def load(cls, package: Path, features: tuple[Feature, ...]) -> Self:
        """As it was saved in `rate.json`."""
        return cls(read_json(package / _FILE)["rate"])

    def save(self, package: Path) -> None:
        """`rate.json` holds the rate."""
        write_json(package / _FILE, {"rate": self.rate})

    def score(self, matrix: Matrix) -> Matrix:
        """The rate, for every row."""
        rate = np.asarray(self.rate, dtype=np.float64)
        return np.broadcast_to(rate, (len(matrix), *rate.shape)).copy()

    def importance(self) -> Mapping[str, float]:
        """Empty: no feature is looked at."""
        return {}
