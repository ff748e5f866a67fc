"""The contract of an estimator: what is fitted on, and what a fitted one can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.package import Feature
from ml_platform.records.metric import Task

Matrix = NDArray[np.float64]
Parameters = Mapping[str, Any]


def _told(*_: Any) -> None:
    """What nobody listens to."""


@dataclass(frozen=True)
class FitTask:
    """What an estimator is fitted on.

    train, validate: the matrix (a row per row, a column per feature) and its labels: 0.0 or 1.0, the place of a class,
        or a value.
    parameters: a value for every parameter of the estimator.
    progress: called with what is done and its share in 0–1.
    classes: how many a multiclass task has. weights: of the rows of train and of validate, None where all count alike.
    learned: called after every round of what learns in rounds, with its number and the loss on train and validate;
        what it raises ends the fit.
    over: asked now and then, whether the time is up; the fit then ends with what it has.
    source: of a model that is written as Python.
    """

    features: tuple[Feature, ...]
    train: tuple[Matrix, Matrix]
    validate: tuple[Matrix, Matrix]
    parameters: Parameters
    seed: int
    threads: int
    progress: Callable[[str, float], None]
    task: Task = "binary"
    classes: int = 0
    weights: tuple[Matrix | None, Matrix | None] = (None, None)
    learned: Callable[[int, float, float], None] = _told
    over: Callable[[], bool] = field(default=lambda: False)
    source: str = ""


class Estimator(Protocol):
    """A fitted model; its files are text."""

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

    def score(self, matrix: Matrix) -> Matrix:
        """What it says of every row of a matrix, in which NaN is a missing value.

        The probability of the positive label; of every class, a column each; or a value.
        """
        ...

    def importance(self) -> Mapping[str, float]:
        """Feature → share in 0–1 of what the estimator draws from it; empty where it draws on none."""
        ...
