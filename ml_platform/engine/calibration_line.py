"""The calibration line: whether what a model says is too high, too low, or too sure, on the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml_platform.records.metric import Task

Numbers = NDArray[np.float64]

SLOPE, INTERCEPT = "calibration_slope", "calibration_intercept"
_MOST_STEPS = 50
_STEP = 1e-10  # a shorter one moves nothing that anybody looks at


def calibration_line(task: Task, label: Numbers, score: Numbers) -> dict[str, float]:
    """`calibration_slope`, 1 where extremes are as frequent as was said, below 1 where the model is too sure of itself,
    and `calibration_intercept`, 0 where it is right on the mean, above 0 where it says too little.

    Of probabilities, in log-odds, as Van Calster et al., BMC Medicine 17 (2019), after Cox, Biometrika 45 (1958): the
    slope of a logistic regression of the label on the log-odds, and its intercept where the slope is held at 1. Of
    values, in the label's unit: the slope of least squares, and the mean of what was missed. Empty for classes; NaN
    where the line is not determined: one label, one score, labels that the score divides, a score that is NaN.

    Half of those at 0.2 happen and half of those at 0.8: the score says nothing, and is right on the mean.

    >>> label, score = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.2, 0.2, 0.8, 0.8])
    >>> {name: abs(round(value, 6)) for name, value in calibration_line("binary", label, score).items()}
    {'calibration_slope': 0.0, 'calibration_intercept': 0.0}
    """
    if task == "multiclass":
        return {}
    if not len(label) or np.isnan(score).any():
        return {SLOPE: float("nan"), INTERCEPT: float("nan")}
    return _of_values(label, score) if task == "regression" else _of_probabilities(label, score)


def _of_values(label: Numbers, score: Numbers) -> dict[str, float]:
    spread = float(np.var(score))
    together = float(np.mean((score - score.mean()) * (label - label.mean())))
    return {SLOPE: together / spread if spread else float("nan"), INTERCEPT: float(np.mean(label - score))}


def _of_probabilities(label: Numbers, score: Numbers) -> dict[str, float]:
    epsilon = np.finfo(np.float64).eps
    given = np.clip(score, epsilon, 1 - epsilon)
    odds = np.log(given) - np.log1p(-given)
    ones = np.ones(len(odds))
    both = _logistic(np.column_stack([odds, ones]), label, np.zeros(len(odds)))
    alone = _logistic(ones[:, None], label, odds)
    return {SLOPE: float(both[0]), INTERCEPT: float(alone[0])}


def _logistic(matrix: Numbers, label: Numbers, offset: Numbers) -> Numbers:
    """The coefficients of most likelihood, by Newton's method; NaN where there are none."""
    found = np.zeros(matrix.shape[1])
    with np.errstate(over="ignore"):
        for _ in range(_MOST_STEPS):
            chance = 1 / (1 + np.exp(-(matrix @ found + offset)))
            weights = chance * (1 - chance)
            bent = matrix.T @ (matrix * weights[:, None])
            if np.linalg.cond(bent) > 1 / np.finfo(np.float64).eps:
                break
            step = np.linalg.solve(bent, matrix.T @ (label - chance))
            found = found + step
            if np.max(np.abs(step)) < _STEP:
                return found
    return np.full(matrix.shape[1], np.nan)
