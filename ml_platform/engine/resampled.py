"""Resampled metrics: a metric of a task as a function of the rows that are taken, quick enough to be asked often."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.bootstrap import Rows
from ml_platform.engine.evaluation import loss_per_row, measure
from ml_platform.records.metric import HIGHER_IS_BETTER, Task

Numbers = NDArray[np.float64]
Statistic = Callable[[Rows], float]


def resampled(task: Task, metric: str, label: Numbers, score: Numbers) -> Statistic:
    """What the metric is on the rows at some places, each taken as often as it is named; NaN where any score is NaN.

    label, score: as `evaluation.evaluate` takes them.

    >>> of = resampled("regression", "mae", np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 7.0]))
    >>> of(np.array([1, 2, 2, 2]))
    2.5
    """
    if np.isnan(score).any():
        return lambda rows: float("nan")
    per_row = _per_row(task, metric, label, score)
    if per_row is not None:
        finish = np.sqrt if metric == "rmse" else float
        return lambda rows: float(finish(per_row.take(rows).mean()))
    if (task, metric) == ("binary", "roc_auc"):
        return _ranked(label, score)
    return lambda rows: measure(task, metric, label[rows], score[rows])


def improvement(task: Task, metric: str, label: Numbers, candidate: Numbers, champion: Numbers) -> Statistic:
    """By how much the candidate is better than the champion on the rows at some places, the same for both."""
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    ours, theirs = (resampled(task, metric, label, score) for score in (candidate, champion))
    return lambda rows: sign * (ours(rows) - theirs(rows))


def _per_row(task: Task, metric: str, label: Numbers, score: Numbers) -> Numbers | None:
    """What each row adds to a metric that is a mean over rows; None for every other."""
    if metric == "log_loss" or (metric == "rmse" and task == "regression"):
        return loss_per_row(task, label, score)
    if metric == "mae":
        return np.asarray(np.abs(label - score))
    if metric == "brier":
        truth = label if task == "binary" else _indicators(label, score)
        return np.asarray(((truth - score) ** 2).reshape(len(label), -1).sum(axis=1))
    if metric == "accuracy":
        taken = score >= 0.5 if task == "binary" else score.argmax(axis=1)
        return np.asarray(taken == label, dtype=np.float64)
    return None


def _indicators(label: Numbers, score: Numbers) -> Numbers:
    truth = np.zeros_like(score)
    truth[np.arange(len(score)), label.astype(np.int64)] = 1
    return truth


def _ranked(label: Numbers, score: Numbers) -> Statistic:
    """The area under the curve: ranks are worked out once, and counted anew for the rows that are taken."""
    values, place = np.unique(score, return_inverse=True)

    def area(rows: Rows) -> float:
        there = place[rows]
        positive = np.bincount(there, weights=label[rows], minlength=len(values))
        negative = np.bincount(there, minlength=len(values)) - positive
        below = np.cumsum(negative) - negative / 2
        pairs = positive.sum() * negative.sum()
        return float((positive * below).sum() / pairs) if pairs else float("nan")

    return area
