"""The bootstrap: how far a value would move if the rows it was worked out on were drawn again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml_platform.records.gate import Interval

Rows: TypeAlias = NDArray[np.int64]


def interval(
    statistic: Callable[[Rows], float], rows: int, *, confidence: float, resamples: int, seed: int
) -> Interval:
    """The percentile interval of a statistic of rows, which are drawn with replacement, as many as there are.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. It is paired by what the statistic does:
    two models' scores of a row are drawn together. NaN where there is no row, or where a draw has no value.

    statistic: of the rows that it is given the places of, a place as often as it was drawn.
    confidence: in 0–1, two-sided. seed: draws alike.

    A row in two is 1: of the 4 equally likely draws of both, one has the mean 0 and one the mean 1:

    >>> interval(lambda drawn: float(drawn.mean()), 2, confidence=0.95, resamples=1000, seed=0)
    Interval(estimate=0.5, low=0.0, high=1.0, confidence=0.95)
    """
    if not rows:
        return Interval(float("nan"), float("nan"), float("nan"), confidence)
    draw = np.random.default_rng(seed)
    values = np.array([statistic(draw.integers(0, rows, rows)) for _ in range(resamples)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    # Adding 0 leaves no minus in front of one.
    return Interval(float(statistic(np.arange(rows))), float(low) + 0.0, float(high) + 0.0, confidence)


def enough(confidence: float, least: int) -> int:
    """How many resamples tell the bounds of so confident an interval: five lie beyond each, `least` at the least.

    >>> enough(0.99, 500)
    1000
    """
    return max(least, int(np.ceil(round(10 / (1 - confidence), 6))))
