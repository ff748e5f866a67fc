"""The metrics of a binary task: how well probabilities rank, and how far they can be believed."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector: TypeAlias = NDArray[np.float64]


def roc_auc(label: ArrayLike, score: ArrayLike) -> float:
    """Probability in 0–1 that a positive row scores above a negative one, ties counting half.

    The Mann-Whitney form: Hanley and McNeil, Radiology 143 (1982). NaN where only one class is present, or a score is
    NaN.

    Of the four pairs of a positive and a negative, three are in order:

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    truth, scores = _pair(label, score)
    if np.isnan(scores).any():
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(count) - (count - 1) / 2
    positives = float(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    rank_sum = float(middle_rank[place][truth == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def log_loss(label: ArrayLike, score: ArrayLike) -> float:
    """Mean negative log-likelihood in nats, 0 or more, of the labels under the probabilities.

    Good, Journal of the Royal Statistical Society B 14 (1952). Probabilities are kept one float64 epsilon from 0 and 1.

    Minus the mean of ln 0.9 and ln 0.8:

    >>> round(log_loss([1, 0], [0.9, 0.2]), 4)
    0.1643
    """
    truth, scores = _pair(label, score)
    epsilon = np.finfo(np.float64).eps
    scores = np.clip(scores, epsilon, 1 - epsilon)
    return float(-np.mean(truth * np.log(scores) + (1 - truth) * np.log1p(-scores)))


def brier(label: ArrayLike, score: ArrayLike) -> float:
    """Mean squared distance in 0–1 between label and probability.

    Brier, Monthly Weather Review 78 (1950), in its form for two classes.

    (0.1² + 0.2²) / 2:

    >>> round(brier([1, 0], [0.9, 0.2]), 4)
    0.025
    """
    truth, scores = _pair(label, score)
    return float(np.mean((truth - scores) ** 2))


def expected_calibration_error(label: ArrayLike, score: ArrayLike, bins: int = 10) -> float:
    """Mean distance in 0–1 between what was promised and what happened, over equal-width bins weighted by their rows.

    Naeini, Cooper and Hauskrecht, AAAI (2015).

    Two rows at 0.9 of which one is positive, two at 0.2 of which none is: (2·0.4 + 2·0.2) / 4:

    >>> round(expected_calibration_error([1, 0, 0, 0], [0.9, 0.9, 0.2, 0.2]), 4)
    0.3
    """
    promised, happened, rows = calibration(label, score, bins)
    return float(np.sum(rows * np.abs(promised - happened)) / np.sum(rows))


def calibration(label: ArrayLike, score: ArrayLike, bins: int = 10) -> tuple[Vector, Vector, Vector]:
    """Mean probability, share of positive labels, and rows, of every equal-width bin (left-open) that holds a row."""
    truth, scores = _pair(label, score)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], scores)
    rows = np.bincount(place, minlength=bins).astype(np.float64)
    filled = rows > 0
    promised = np.bincount(place, weights=scores, minlength=bins)[filled] / rows[filled]
    happened = np.bincount(place, weights=truth, minlength=bins)[filled] / rows[filled]
    return promised, happened, rows[filled]


def roc_curve(label: ArrayLike, score: ArrayLike) -> tuple[Vector, Vector]:
    """False and true positive rate in 0–1 at every distinct threshold, from (0, 0) to (1, 1)."""
    true_positives, false_positives = _counts_above(*_pair(label, score))
    start = np.zeros(1)
    return (
        np.concatenate([start, false_positives / false_positives[-1]]),
        np.concatenate([start, true_positives / true_positives[-1]]),
    )


def average_precision(label: ArrayLike, score: ArrayLike) -> float:
    """Area in 0–1 under precision over recall, as the sum of steps, without interpolation.

    Davis and Goadrich, ICML (2006). NaN where no row is positive.

    The positive rows stand first and third, where precision is 1 and 2/3:

    >>> round(average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6]), 4)
    0.8333
    """
    recall, precision = precision_recall_curve(label, score)
    return float(np.sum(np.diff(recall) * precision[1:]))


def precision_recall_curve(label: ArrayLike, score: ArrayLike) -> tuple[Vector, Vector]:
    """Recall and precision in 0–1 at every distinct threshold, from (0, 1) to all rows; NaN without a positive row."""
    truth, scores = _pair(label, score)
    true_positives, false_positives = _counts_above(truth, scores)
    positives = true_positives[-1] or np.nan
    recall, precision = true_positives / positives, true_positives / (true_positives + false_positives)
    return np.concatenate([[0.0], recall]), np.concatenate([[1.0], precision])


def decisions(label: ArrayLike, score: ArrayLike, threshold: float = 0.5) -> dict[str, float]:
    """`accuracy`, `precision`, `recall` and `f1` in 0–1 of taking a row for positive from the threshold on.

    Precision is 0 where no row is taken for positive, recall where none is; so is then f1.

    One of the two taken for positive is, and one of the three positive rows is found:

    >>> decisions([1, 0, 1, 1], [0.9, 0.6, 0.2, 0.1])
    {'accuracy': 0.25, 'precision': 0.5, 'recall': 0.3333333333333333, 'f1': 0.4}
    """
    truth, scores = _pair(label, score)
    taken = scores >= threshold
    hits, found, there = float(truth[taken].sum()), float(taken.sum()), float(truth.sum())
    return {
        "accuracy": float(np.mean(taken == (truth == 1))),
        "precision": hits / found if found else 0.0,
        "recall": hits / there if there else 0.0,
        "f1": 2 * hits / (found + there) if found + there else 0.0,
    }


def evaluate(label: ArrayLike, score: ArrayLike) -> dict[str, float]:
    """Every metric of a binary task by its name."""
    return {
        "log_loss": log_loss(label, score),
        "roc_auc": roc_auc(label, score),
        "average_precision": average_precision(label, score),
        "brier": brier(label, score),
        "expected_calibration_error": expected_calibration_error(label, score),
        **decisions(label, score),
    }


def _pair(label: ArrayLike, score: ArrayLike) -> tuple[Vector, Vector]:
    return np.asarray(label, dtype=np.float64), np.asarray(score, dtype=np.float64)


def _counts_above(truth: Vector, scores: Vector) -> tuple[Vector, Vector]:
    """Positive and negative rows that score at least as high as each distinct threshold, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    truth, scores = truth[order], scores[order]
    last_of_ties = np.append(np.diff(scores) != 0, True)
    return np.cumsum(truth)[last_of_ties], np.cumsum(1 - truth)[last_of_ties]
