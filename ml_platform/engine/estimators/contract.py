"""The contract of an estimator: what is fitted on, and what a fitted one can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.package import Feature

Matrix = NDArray[np.float64]
Parameters = Mapping[str, float]


@dataclass(frozen=True)
class FitTask:
    """What an estimator is fitted on.

    train, validate: the encoded matrix (a row per row, a column per feature) and its labels, 0.0 or 1.0.
    parameters: a value for every parameter of the estimator.
    progress: called with what is done and its share in 0–1.
    """

    features: tuple[Feature, ...]
    train: tuple[Matrix, Matrix]
    validate: tuple[Matrix, Matrix]
    parameters: Parameters
    seed: int
    threads: int
    progress: Callable[[str, float], None]


class Estimator(Protocol):
    """A fitted model of a binary task; its files are text."""

    defaults: ClassVar[Parameters]

    @classmethod
    def fit(cls, task: FitTask) -> Self:
        """Fitted on the task; the same task gives the same estimator, to the byte of its files."""
        ...

    @classmethod
    def load(cls, package: Path, features: tuple[Feature, ...]) -> Self:
        """As it was saved. Raises PlatformError where its file is missing or damaged."""
        ...

    def save(self, package: Path) -> None:
        """The package holds the estimator's file."""
        ...

    def score(self, matrix: Matrix) -> NDArray[np.float64]:
        """Probability of the positive label per row of an encoded matrix; NaN in the matrix is a missing value."""
        ...

    def importance(self) -> Mapping[str, float]:
        """Feature → share in 0–1 of what the estimator draws from it; empty where it draws on none."""
        ...
