"""The metrics of a regression task: how far the values are from what happened."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def evaluate(label: ArrayLike, score: ArrayLike) -> dict[str, float]:
    """Every metric of a regression task by its name, in the label's unit but for r2.

    `rmse` and `mae`: root mean square and mean of the distances. `r2`: share of the variance explained, 1 or less; NaN
    where the label is constant.

    Distances of 0, 1 and 2 around a variance of 2/3:

    >>> evaluate([1.0, 2.0, 3.0], [1.0, 3.0, 5.0])
    {'rmse': 1.2909944487358056, 'mae': 1.0, 'median_absolute_error': 1.0, 'r2': -1.5}
    """
    truth, scores = np.asarray(label, dtype=np.float64), np.asarray(score, dtype=np.float64)
    distance = np.abs(truth - scores)
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return {
        "rmse": float(np.sqrt(np.mean(distance**2))),
        "mae": float(np.mean(distance)),
        "median_absolute_error": float(np.median(distance)),
        "r2": 1 - float(np.sum(distance**2)) / spread if spread else float("nan"),
    }
