"""Evaluation: the labels of a task as numbers, and every metric of what a model says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine import class_metrics, metrics, value_metrics
from ml_platform.engine.encoding import spelled
from ml_platform.records.metric import METRICS, Metric, Task

Numbers = NDArray[np.float64]

_EVALUATE: Mapping[Task, Callable[[Numbers, Numbers], dict[str, float]]] = {
    "binary": metrics.evaluate,
    "multiclass": class_metrics.evaluate,
    "regression": value_metrics.evaluate,
}

# Metrics of taking a row for one class or another, that are worked out together.
_BY_THRESHOLD = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "macro_f1")


def evaluate(task: Task, label: Numbers, score: Numbers, names: Sequence[Metric] = ()) -> dict[str, float]:
    """Metric → value; all of the task's, unless some are named.

    No value is known where a score is NaN.
    label: 0 or 1, the place of a class, or a value. score: a probability, one per class, or a value, a row each.
    """
    known = not np.isnan(score).any()
    measured = _EVALUATE[task](label, score) if known else dict.fromkeys(METRICS[task], float("nan"))
    return {name: value for name, value in measured.items() if not names or name in names}


def measure(task: Task, metric: str, label: Numbers, score: Numbers) -> float:
    """One metric, as `evaluate` gives it, and no other worked out; NaN where a score is NaN or no row is there."""
    if not len(label) or np.isnan(score).any():
        return float("nan")
    module = class_metrics if task == "multiclass" else metrics
    if task == "regression":
        return value_metrics.evaluate(label, score)[metric]
    if metric in _BY_THRESHOLD:
        return float(module.decisions(label, score)[metric])
    return float(getattr(module, metric)(label, score))


def loss_per_row(task: Task, label: Numbers, score: Numbers) -> Numbers:
    """What each row adds to the task's loss: its negative log-likelihood, or its squared distance."""
    if task == "regression":
        return (label - score) ** 2
    epsilon = np.finfo(np.float64).eps
    if task == "binary":
        given = np.where(label == 1, score, 1 - score)
    else:
        given = score[np.arange(len(score)), label.astype(np.int64)]
    return np.asarray(-np.log(np.clip(given, epsilon, 1 - epsilon)), dtype=np.float64)


def classes_in(values: Sequence[Any]) -> tuple[str, ...]:
    """The classes that labels name, sorted; a missing label names none.

    >>> classes_in(["tree", None, "bush", "tree"])
    ('bush', 'tree')
    """
    return tuple(sorted({spelled(value) for value in values if value is not None}))


def places_in(values: Sequence[Any], classes: Sequence[str]) -> Numbers:
    """Each label's place among the classes; NaN where it is missing or none of them."""
    places = {name: float(place) for place, name in enumerate(classes)}
    return np.array([np.nan if value is None else places.get(spelled(value), np.nan) for value in values])


def aligned(score: Numbers, classes: Sequence[str], every: Sequence[str]) -> Numbers:
    """The probabilities in the order of `every` class; one that the model does not know has 0."""
    wide = np.zeros((len(score), len(every)))
    wide[:, [every.index(name) for name in classes]] = score
    return wide
