"""The scorer: a model package, loaded, that turns named columns into what the model says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine import request_time
from ml_platform.engine.calibrating import Calibration
from ml_platform.engine.encoding import Column, Encoding
from ml_platform.engine.estimators import estimator_named
from ml_platform.engine.estimators.contract import Estimator
from ml_platform.engine.package import Feature, ModelCard, read_card
from ml_platform.engine.preprocessing import Preprocessing
from ml_platform.records.feature import RequestTimeFeatures


@dataclass(frozen=True)
class Fitted:
    """What was fitted, from an encoded matrix to what is said: the same when it is fitted, scored and served."""

    preprocessing: Preprocessing
    estimator: Estimator
    calibration: Calibration

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `Scorer.predict`, of an encoded matrix."""
        return self.calibration.apply(self.estimator.score(self.preprocessing.apply(matrix)))

    def save(self, package: Path) -> None:
        """The package holds the files of all parts."""
        self.preprocessing.save(package)
        self.estimator.save(package)
        self.calibration.save(package)


class Scorer:
    """Scores a row or a million of them, from any thread; needs NumPy and the estimator's own library, no more.

    card: what the package says of itself.
    request_time: the functions by which features are computed of a request before `predict` is asked, as the model
    learned from them.
    """

    def __init__(self, card: ModelCard, fitted: Fitted, request_time: tuple[RequestTimeFeatures, ...] = ()) -> None:
        self.card = card
        self.request_time = request_time
        self._encoding = Encoding(card.features)
        self._fitted = fitted

    @classmethod
    def load(cls, package: Path) -> Self:
        """The package's model. Raises PlatformError where the folder is no package or its files are damaged."""
        card = read_card(package)
        preprocessing = Preprocessing.load(package, card.features)
        estimator = estimator_named(card.estimator).load(package, preprocessing.design)
        return cls(card, Fitted(preprocessing, estimator, Calibration.load(package)), request_time.load(package))

    @property
    def features(self) -> tuple[Feature, ...]:
        """What `predict` needs, in the model's order."""
        return self.card.features

    def predict(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """One per row: the probability of the positive label in 0–1, one per class of the card, or a value.

        columns: feature → its values, all of one length; None, NaN and infinite numbers are missing values, and so are
        unknown categories where their feature has no others.
        Raises PlatformError naming the feature that is absent or not of its type.
        """
        matrix = self._encoding.matrix(columns)
        if not len(matrix):
            return np.empty((0, len(self.card.classes)) if self.card.classes else 0)
        matrix[np.isinf(matrix)] = np.nan
        return self._fitted.score(matrix)
