"""Calibration: what turns a model's probabilities into ones that happen as often as they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.package import read_json, write_json
from ml_platform.records.metric import Task

Method = Literal["none", "sigmoid", "isotonic", "temperature"]
Scores = NDArray[np.float64]
FILE = "calibration.json"
_TINY = 1e-12
_MOST_STEPS = 100
_SETTLED = 1e-10


class Calibration:
    """Curves from what a model says to what is said in its place, by one method; `none` leaves all as it is.

    curves: one, or one per class; of classes, the curves' answers are scaled to sum to 1.
    """

    def __init__(self, method: Method = "none", curves: tuple[Mapping[str, Any], ...] = ()) -> None:
        self.method = method
        self.curves = curves

    @classmethod
    def fit(cls, method: Method, task: Task, label: Scores, score: Scores) -> Self:
        """Fitted on rows that the model was not fitted on."""
        if method == "none":
            return cls()
        if method == "temperature":
            return cls(method, ({"temperature": _temperature(task, label, score)},))
        find = _sigmoid if method == "sigmoid" else _isotonic
        if task == "binary":
            return cls(method, (find(label, score),))
        places = range(score.shape[1])
        return cls(method, tuple(find((label == place).astype(np.float64), score[:, place]) for place in places))

    @classmethod
    def load(cls, package: Path) -> Self:
        """As it was saved; `none` where the package has no calibration."""
        if not (package / FILE).exists():
            return cls()
        content = read_json(package / FILE)
        return cls(content["method"], tuple(content["curves"]))

    def save(self, package: Path) -> None:
        """`calibration.json` holds the curves; `none` leaves no file."""
        if self.method != "none":
            write_json(package / FILE, {"method": self.method, "curves": list(self.curves)})

    def apply(self, score: Scores) -> Scores:
        """The calibrated probabilities."""
        if self.method == "none":
            return score
        if self.method == "temperature":
            return _cooled(score, float(self.curves[0]["temperature"]))
        read = _read_sigmoid if self.method == "sigmoid" else _read_isotonic
        if score.ndim == 1:
            return read(self.curves[0], score)
        return _shares(np.column_stack([read(curve, score[:, at]) for at, curve in enumerate(self.curves)]))


def _sigmoid(label: Scores, score: Scores) -> Mapping[str, Any]:
    """A logistic curve over the log-odds, with Platt's own targets (1999), which keep it off 0 and 1."""
    positives, negatives = float(label.sum()), float(len(label) - label.sum())
    target = np.where(label == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    columns = np.column_stack([_log_odds(score), np.ones(len(score))])

    def loss(weights: Scores) -> float:
        said = columns @ weights
        return float(np.sum(np.logaddexp(0.0, said) - target * said))

    weights = np.array([0.0, float(np.log((positives + 1) / (negatives + 1)))])
    for _ in range(_MOST_STEPS):
        said = _logistic(columns @ weights)
        gradient = columns.T @ (said - target)
        hessian = (columns * (said * (1 - said))[:, None]).T @ columns + _TINY * np.eye(2)
        step, before = np.linalg.solve(hessian, gradient), loss(weights)
        # Far from the answer a whole step overshoots.
        while loss(weights - step) > before and np.abs(step).max() > _TINY:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() < _SETTLED:
            break
    return {"slope": float(weights[0]), "intercept": float(weights[1])}


def _isotonic(label: Scores, score: Scores) -> Mapping[str, Any]:
    """The step-free non-decreasing curve that is nearest to the labels (Zadrozny and Elkan, KDD 2002)."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(score, label)
    return {"said": fitted.X_thresholds_.tolist(), "happened": fitted.y_thresholds_.tolist()}


def _temperature(task: Task, label: Scores, score: Scores) -> float:
    """The temperature at which the labels are likeliest: Guo et al., ICML (2017)."""
    from ml_platform.engine.evaluation import loss_per_row

    def loss(power: float) -> float:
        return float(np.mean(loss_per_row(task, label, _cooled(score, float(np.exp(power))))))

    return float(np.exp(_least(loss, -3.0, 3.0)))


def _least(of: Callable[[float], float], low: float, high: float) -> float:
    golden = (np.sqrt(5.0) - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if of(left) < of(right):
            high = right
        else:
            low = left
    return (low + high) / 2


def _cooled(score: Scores, temperature: float) -> Scores:
    if score.ndim == 1:
        return _logistic(_log_odds(score) / temperature)
    powers = np.log(np.maximum(score, _TINY)) / temperature
    return _shares(np.exp(powers - powers.max(axis=1, keepdims=True)))


def _read_sigmoid(curve: Mapping[str, Any], score: Scores) -> Scores:
    return _logistic(curve["slope"] * _log_odds(score) + curve["intercept"])


def _read_isotonic(curve: Mapping[str, Any], score: Scores) -> Scores:
    return np.asarray(np.interp(score, curve["said"], curve["happened"]), dtype=np.float64)


def _shares(parts: Scores) -> Scores:
    total = parts.sum(axis=1, keepdims=True)
    # Where no class is left, nothing is known of the row.
    return np.where(total > 0, parts / np.where(total > 0, total, 1.0), 1.0 / parts.shape[1])


def _log_odds(score: Scores) -> Scores:
    kept = np.clip(score, _TINY, 1 - _TINY)
    return np.log(kept) - np.log1p(-kept)


def _logistic(odds: Scores) -> Scores:
    return 0.5 * (1.0 + np.tanh(0.5 * odds))
