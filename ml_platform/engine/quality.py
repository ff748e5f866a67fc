"""Delayed quality: what a model's answers were worth, once the labels have come, with intervals, from counts alone.

Rows are counted by window, by the thousandth that a probability lies in, and by label, with the sums of their losses
and of the squares of these: memory does not follow from how many rows there are. A mean's interval is the normal one,
an area's that of Hanley and McNeil; both take rows for independent, so they are narrow where rows of one day rise and
fall together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ml_platform.records.metric import HIGHER_IS_BETTER, Task

DELAYED: Mapping[Task, tuple[str, ...]] = {
    "binary": ("log_loss", "brier", "roc_auc"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}
"""The metrics that are followed once labels have come, of each task."""
PROBABILITY_BINS = 1_000
_Z = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A metric and the ends of its 95 % interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Labelled:
    """The rows of a window whose label has come.

    sums: metric that is a mean (`mse` for rmse) → sum of it over the rows, and of its square.
    positives, negatives: of a binary task, rows by the bin of their probability.
    due, came: rows whose label should have come by now, and of these how many did.
    """

    rows: int = 0
    sums: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    positives: Sequence[int] = ()
    negatives: Sequence[int] = ()
    due: int = 0
    came: int = 0


def mean(total: float, of_squares: float, rows: int) -> Estimate:
    """A mean with its normal interval, from the sums of the values and of their squares.

    0, 0, 1 and 1 have mean 0.5 and sample deviation 0.577: 0.5 ± 1.96 · 0.577 / √4:

    >>> found = mean(2.0, 2.0, 4)
    >>> found.value, round(found.lower, 3), round(found.upper, 3)
    (0.5, -0.066, 1.066)
    """
    value = total / rows
    variance = max(of_squares - rows * value * value, 0.0) / max(rows - 1, 1)
    half = _Z * math.sqrt(variance / rows)
    return Estimate(value, value - half, value + half)


def area(positives: ArrayLike, negatives: ArrayLike) -> Estimate:
    """The area under the ROC curve in 0–1 with its interval, from rows by bin of their probability, lowest first.

    Rows of one bin count as tied. The standard error is that of Hanley and McNeil, Radiology 143 (1982).

    >>> area([0, 1, 1], [1, 1, 0]).value
    0.875
    """
    up, down = np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    there, absent = float(up.sum()), float(down.sum())
    below = np.cumsum(down) - down
    value = float((up * (below + down / 2)).sum() / (there * absent))
    half = _Z * area_deviation(value, there, absent)
    return Estimate(value, max(value - half, 0.0), min(value + half, 1.0))


def area_deviation(value: float, positives: float, negatives: float) -> float:
    """The standard error of an area, by Hanley and McNeil.

    Their example, 51 abnormal and 58 normal images with an area of 0.893:

    >>> round(area_deviation(0.893, 51, 58), 4)
    0.0325
    """
    q1, q2 = value / (2 - value), 2 * value * value / (1 + value)
    spread = value * (1 - value) + (positives - 1) * (q1 - value**2) + (negatives - 1) * (q2 - value**2)
    return math.sqrt(max(spread, 0.0) / (positives * negatives))


def estimate(metric: str, of: Labelled) -> Estimate | None:
    """The metric of a window's labelled rows; None where they do not give it, as an area of one class alone."""
    if not of.rows:
        return None
    if metric == "roc_auc":
        return area(of.positives, of.negatives) if sum(of.positives) and sum(of.negatives) else None
    if metric == "rmse":
        squared = mean(*of.sums["mse"], of.rows)
        return Estimate(*(math.sqrt(max(end, 0.0)) for end in (squared.value, squared.lower, squared.upper)))
    return mean(*of.sums[metric], of.rows)


def allowed(metric: str, own: float | None, decay: float) -> float | None:
    """The worst value that is allowed, by the champion's own; the share is of what separates it from a useless one.

    >>> allowed("log_loss", 0.5, 0.1), round(allowed("roc_auc", 0.7, 0.1), 2)
    (0.55, 0.68)
    """
    if own is None:
        return None
    if not HIGHER_IS_BETTER[metric]:
        return own * (1 + decay)
    useless = 0.5 if metric == "roc_auc" else 0.0
    return own - decay * (own - useless)


def decayed(metric: str, found: Estimate, limit: float) -> bool:
    """Whether the whole interval lies beyond the limit: an unlucky window is not taken for a worse model."""
    return found.upper < limit if HIGHER_IS_BETTER[metric] else found.lower > limit
