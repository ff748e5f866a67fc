"""The linear estimator: a logistic or ridge regression over standardised numbers and a column per known category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml_platform.engine.estimators.contract import FitTask, Matrix
from ml_platform.engine.package import Feature, read_json, write_json

if TYPE_CHECKING:
    from scipy import sparse

_FILE = "weights.json"


class LinearEstimator:
    """Fitted by scikit-learn, kept as JSON, scored with NumPy alone.

    A missing number counts as its training mean; a missing or unknown category adds nothing.
    link: `logistic` for a probability, `softmax` for one per class, `identity` for a value.
    intercept: what is said where every number is at its mean and every category is missing; log-odds, one per class,
        or the value.
    terms: feature → `mean`, `scale` and `weight` of a number, `weights` by value of a category, and the `spread`
        (standard deviation) of what it added in training. A weight is a list where there are classes.
    """

    def __init__(
        self, features: tuple[Feature, ...], link: str, intercept: float | list[float], terms: Mapping[str, Any]
    ) -> None:
        self.features = features
        self.link = link
        self.intercept = intercept
        self.terms = terms

    @classmethod
    def fit(cls, task: FitTask) -> Self:
        """The regularised maximum of the train split's likelihood; the validate split is not looked at."""
        matrix, label = task.train
        blocks, terms = zip(*(_block(f, matrix[:, i]) for i, f in enumerate(task.features)), strict=True)
        model = _model(task).fit(_side_by_side(blocks), label, sample_weight=task.weights[0])
        # A row an output, of which there is one but for classes; two classes share theirs.
        coefficients, intercepts = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
        if task.task == "multiclass" and task.classes == 2:
            coefficients, intercepts = _both(coefficients), _both(intercepts)
        weights = np.split(coefficients, np.cumsum([block.shape[1] for block in blocks])[:-1], axis=1)
        fitted = {
            feature.name: _weighted(feature, term, weight, float(np.mean(np.std(block @ weight.T, axis=0))))
            for feature, term, weight, block in zip(task.features, terms, weights, blocks, strict=True)
        }
        task.progress("linear model fitted", 1.0)
        link = {"binary": "logistic", "multiclass": "softmax", "regression": "identity"}[task.task]
        return cls(task.features, link, _plain(intercepts), fitted)

    @classmethod
    def load(cls, package: Path, features: tuple[Feature, ...]) -> Self:
        """As it was saved in `weights.json`."""
        content = read_json(package / _FILE)
        return cls(features, content.get("link", "logistic"), content["intercept"], content["terms"])

    def save(self, package: Path) -> None:
        """`weights.json` holds link, intercept and terms."""
        write_json(package / _FILE, {"link": self.link, "intercept": self.intercept, "terms": self.terms})

    def score(self, matrix: Matrix) -> Matrix:
        """The link's function of intercept plus terms."""
        said = np.tile(np.asarray(self.intercept, dtype=np.float64), (len(matrix), 1))
        if self.link != "softmax":
            said = said.reshape(len(matrix))
        for position, feature in enumerate(self.features):
            said += _contribution(feature, self.terms[feature.name], matrix[:, position])
        if self.link == "logistic":
            # tanh is the logistic function without the overflow of exp.
            return 0.5 * (1.0 + np.tanh(0.5 * said))
        return _softmax(said) if self.link == "softmax" else said

    def importance(self) -> Mapping[str, float]:
        """Shares of the features' spreads."""
        total = sum(term["spread"] for term in self.terms.values()) or 1.0
        return {name: term["spread"] / total for name, term in self.terms.items()}


def _model(task: FitTask) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    strength, most = task.parameters["C"], int(task.parameters["max_iter"])
    if task.task == "regression":
        return Ridge(alpha=1.0 / strength, max_iter=most, solver="sparse_cg", tol=1e-8)
    return LogisticRegression(C=strength, max_iter=most)


def _both(second: Matrix) -> Matrix:
    """The weights of both of two classes, from the log-odds of the second against the first."""
    return np.concatenate([-second, second]) / 2


def _plain(numbers: Matrix) -> float | list[float]:
    return float(numbers[0]) if len(numbers) == 1 else [float(number) for number in numbers]


def _block(feature: Feature, column: Matrix) -> tuple[sparse.csr_array, dict[str, float]]:
    """The feature's columns for scikit-learn, and what a later score needs to make them again."""
    from scipy import sparse

    present = np.flatnonzero(~np.isnan(column))
    if feature.type == "category":
        ones = (np.ones(len(present)), (present, column[present].astype(np.int64)))
        return sparse.csr_array(ones, shape=(len(column), len(feature.categories))), {}
    mean = float(column[present].mean()) if len(present) else 0.0
    scale = (float(column[present].std()) if len(present) else 0.0) or 1.0
    return sparse.csr_array(_standardised(column, mean, scale)[:, None]), {"mean": mean, "scale": scale}


def _side_by_side(blocks: Sequence[sparse.csr_array]) -> sparse.csr_array:
    from scipy import sparse

    return sparse.hstack(blocks, format="csr")


def _weighted(feature: Feature, term: dict[str, float], weight: Matrix, spread: float) -> dict[str, Any]:
    """weight: a row an output, a column of the block a column."""
    if feature.type == "category":
        values = {name: _plain(weight[:, code]) for code, name in enumerate(feature.categories)}
        return {"weights": values, "spread": spread}
    return {**term, "weight": _plain(weight[:, 0]), "spread": spread}


def _contribution(feature: Feature, term: Mapping[str, Any], column: Matrix) -> Matrix:
    if feature.type == "number":
        standard = _standardised(column, term["mean"], term["scale"])
        weight = term["weight"]
        return standard[:, None] * np.asarray(weight) if isinstance(weight, list) else standard * float(weight)
    known = np.array([term["weights"][name] for name in feature.categories], dtype=np.float64)
    by_code = np.concatenate([known, np.zeros((1, *known.shape[1:]))])
    codes = np.where(np.isnan(column), len(known), column).astype(np.int64)
    return np.asarray(by_code[codes], dtype=np.float64)


def _standardised(column: Matrix, mean: float, scale: float) -> Matrix:
    return np.where(np.isfinite(column), (column - mean) / scale, 0.0)


def _softmax(said: Matrix) -> Matrix:
    shares: Matrix = np.exp(said - said.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float64)
