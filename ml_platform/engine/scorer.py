"""The scorer: a model package, loaded, that turns named columns into probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.encoding import Column, Encoding
from ml_platform.engine.estimators import estimator_named
from ml_platform.engine.estimators.contract import Estimator
from ml_platform.engine.package import Feature, ModelCard, read_card


class Scorer:
    """Scores a row or a million of them, from any thread; needs NumPy and the estimator's own library, no more.

    card: what the package says of itself.
    """

    def __init__(self, card: ModelCard, estimator: Estimator) -> None:
        self.card = card
        self._encoding = Encoding(card.features)
        self._estimator = estimator

    @classmethod
    def load(cls, package: Path) -> Self:
        """The package's model. Raises PlatformError where the folder is no package or its files are damaged."""
        card = read_card(package)
        return cls(card, estimator_named(card.estimator).load(package, card.features))

    @property
    def features(self) -> tuple[Feature, ...]:
        """What `predict` needs, in the model's order."""
        return self.card.features

    def predict(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """Probability of the positive label in 0–1, one per row.

        columns: feature → its values, all of one length; None, NaN and unknown categories are missing values.
        Raises PlatformError naming the feature that is absent or not of its type.
        """
        matrix = self._encoding.matrix(columns)
        return self._estimator.score(matrix) if len(matrix) else np.empty(0)
