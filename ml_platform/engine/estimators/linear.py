"""The linear estimator: a logistic regression over standardised numbers and one column per known category."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.estimators.contract import FitTask, Matrix, Parameters
from ml_platform.engine.package import Feature, read_json, write_json

if TYPE_CHECKING:
    from scipy import sparse

_FILE = "weights.json"


class LinearEstimator:
    """Fitted by scikit-learn, kept as JSON, scored with NumPy alone.

    A missing number counts as its training mean; a missing or unknown category adds nothing.
    intercept: log-odds where every number is at its mean and every category is missing.
    terms: feature → `mean`, `scale` and `weight` of a number, `weights` by value of a category, and the `spread`
        (standard deviation, in log-odds) of what it added in training.
    """

    defaults: ClassVar[Parameters] = {"C": 1.0, "max_iter": 300}

    def __init__(self, features: tuple[Feature, ...], intercept: float, terms: Mapping[str, Any]) -> None:
        self.features = features
        self.intercept = intercept
        self.terms = terms

    @classmethod
    def fit(cls, task: FitTask) -> Self:
        """The regularised maximum of the train split's likelihood; the validate split is not looked at."""
        from sklearn.linear_model import LogisticRegression

        matrix, label = task.train
        blocks, terms = zip(*(_block(f, matrix[:, i]) for i, f in enumerate(task.features)), strict=True)
        model = LogisticRegression(C=task.parameters["C"], max_iter=int(task.parameters["max_iter"]))
        model.fit(_side_by_side(blocks), label)
        weights = np.split(model.coef_[0], np.cumsum([block.shape[1] for block in blocks])[:-1])
        fitted = {
            feature.name: _weighted(feature, term, weight, float(np.std(block @ weight)))
            for feature, term, weight, block in zip(task.features, terms, weights, blocks, strict=True)
        }
        task.progress("linear model fitted", 1.0)
        return cls(task.features, float(model.intercept_[0]), fitted)

    @classmethod
    def load(cls, package: Path, features: tuple[Feature, ...]) -> Self:
        """As it was saved in `weights.json`."""
        content = read_json(package / _FILE)
        return cls(features, content["intercept"], content["terms"])

    def save(self, package: Path) -> None:
        """`weights.json` holds intercept and terms."""
        write_json(package / _FILE, {"intercept": self.intercept, "terms": self.terms})

    def score(self, matrix: Matrix) -> NDArray[np.float64]:
        """The logistic function of intercept plus terms."""
        odds = np.full(len(matrix), self.intercept)
        for position, feature in enumerate(self.features):
            odds += _contribution(feature, self.terms[feature.name], matrix[:, position])
        # tanh is the logistic function without the overflow of exp.
        return 0.5 * (1.0 + np.tanh(0.5 * odds))

    def importance(self) -> Mapping[str, float]:
        """Shares of the features' spreads."""
        total = sum(term["spread"] for term in self.terms.values()) or 1.0
        return {name: term["spread"] / total for name, term in self.terms.items()}


def _block(feature: Feature, column: Matrix) -> tuple[sparse.csr_array, dict[str, float]]:
    """The feature's columns for scikit-learn, and what a later score needs to make them again."""
    from scipy import sparse

    present = np.flatnonzero(~np.isnan(column))
    if feature.type == "category":
        ones = (np.ones(len(present)), (present, column[present].astype(np.int64)))
        return sparse.csr_array(ones, shape=(len(column), len(feature.values))), {}
    mean = float(column[present].mean()) if len(present) else 0.0
    scale = (float(column[present].std()) if len(present) else 0.0) or 1.0
    return sparse.csr_array(_standardised(column, mean, scale)[:, None]), {"mean": mean, "scale": scale}


def _side_by_side(blocks: tuple[sparse.csr_array, ...]) -> sparse.csr_array:
    from scipy import sparse

    return sparse.hstack(blocks, format="csr")


def _weighted(feature: Feature, term: dict[str, float], weight: Matrix, spread: float) -> dict[str, Any]:
    if feature.type == "category":
        values = dict(zip(feature.values, map(float, weight), strict=True))
        return {"weights": values, "spread": spread}
    return {**term, "weight": float(weight[0]), "spread": spread}


def _contribution(feature: Feature, term: Mapping[str, Any], column: Matrix) -> Matrix:
    if feature.type == "number":
        return _standardised(column, term["mean"], term["scale"]) * float(term["weight"])
    by_code = np.array([*(term["weights"][value] for value in feature.values), 0.0])
    codes = np.where(np.isnan(column), len(feature.values), column).astype(np.int64)
    return by_code[codes]


def _standardised(column: Matrix, mean: float, scale: float) -> Matrix:
    return np.where(np.isfinite(column), (column - mean) / scale, 0.0)
