"""The metrics of a multiclass task: how well the probabilities of all classes rank, and how far they can be believed.

Everywhere, `label` is the place of a row's class, and `score` a row a row and a column a class, whose rows sum to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_platform.engine import metrics

Scores = NDArray[np.float64]


def log_loss(label: ArrayLike, score: Scores) -> float:
    """Mean negative log-likelihood in nats, 0 or more, of the classes under the probabilities.

    Good, Journal of the Royal Statistical Society B 14 (1952). Probabilities are kept one float64 epsilon from 0 and 1.

    Minus the mean of ln 0.5 and ln 0.8:

    >>> round(log_loss([0, 2], np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])), 4)
    0.4581
    """
    epsilon = np.finfo(np.float64).eps
    given = np.clip(score, epsilon, 1 - epsilon)[np.arange(len(score)), _places(label)]
    return float(-np.mean(np.log(given)))


def brier(label: ArrayLike, score: Scores) -> float:
    """Mean squared distance in 0–2 between the probabilities of all classes and what happened.

    Brier, Monthly Weather Review 78 (1950), in its own form.

    (0.5² + 0.3² + 0.2²):

    >>> round(brier([0], np.array([[0.5, 0.3, 0.2]])), 4)
    0.38
    """
    truth = np.zeros_like(score)
    truth[np.arange(len(score)), _places(label)] = 1
    return float(np.mean(np.sum((truth - score) ** 2, axis=1)))


def roc_auc(label: ArrayLike, score: Scores) -> float:
    """Mean over the classes of the area under each one's curve against all others, each class counting the same.

    Provost and Domingos, Machine Learning 52 (2003), unweighted. A class without a row, or with all of them, is left
    out; NaN where that leaves none.
    """
    places = _places(label)
    areas = [metrics.roc_auc(places == place, score[:, place]) for place in np.unique(places)]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def expected_calibration_error(label: ArrayLike, score: Scores) -> float:
    """As of a binary task, of the class that a row is taken for: Guo et al., ICML (2017)."""
    taken = score.argmax(axis=1)
    return metrics.expected_calibration_error(taken == _places(label), score.max(axis=1))


def confusion(label: ArrayLike, score: Scores) -> NDArray[np.int64]:
    """Rows by class (down) and by the class that they are taken for (across).

    >>> confusion([0, 0, 1], np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])).tolist()
    [[1, 1], [0, 1]]
    """
    classes = score.shape[1]
    flat = _places(label) * classes + score.argmax(axis=1)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def evaluate(label: ArrayLike, score: Scores) -> dict[str, float]:
    """Every metric of a multiclass task by its name."""
    return {
        "log_loss": log_loss(label, score),
        "roc_auc": roc_auc(label, score),
        "brier": brier(label, score),
        "expected_calibration_error": expected_calibration_error(label, score),
        **decisions(label, score),
    }


def decisions(label: ArrayLike, score: Scores) -> dict[str, float]:
    """`accuracy`, and the means over classes that have a row of their recall (`balanced_accuracy`) and f1 (`macro_f1`).

    All in 0–1. Class 0 is found in one of two rows and class 1 in its one; f1 is 2/3 of both:

    >>> decisions([0, 0, 1], np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]))
    {'accuracy': 0.6666666666666666, 'balanced_accuracy': 0.75, 'macro_f1': 0.6666666666666666}
    """
    table = confusion(label, score)
    hits, there, taken = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    present = there > 0
    return {
        "accuracy": float(hits.sum() / table.sum()),
        "balanced_accuracy": float(np.mean(hits[present] / there[present])),
        "macro_f1": float(np.mean(2 * hits[present] / (there[present] + taken[present]))),
    }


def _places(label: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(label).astype(np.int64)
