"""Learning: from encoded rows to a fitted model, by any estimator and any parameters, over one pre-processing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.calibrating import Calibration, Method
from ml_platform.engine.estimators import estimator_named
from ml_platform.engine.estimators.contract import FitTask
from ml_platform.engine.evaluation import loss_per_row
from ml_platform.engine.package import Feature
from ml_platform.engine.preprocessing import Preprocessing
from ml_platform.engine.scorer import Fitted
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.metric import Task
from ml_platform.records.preprocessing import Step

Matrix = NDArray[np.float64]
SIDES = ("negative", "positive")


@dataclass(frozen=True)
class Learning:
    """What is learned from, and how, whichever estimator does it.

    train, validate: encoded matrix and labels. classes: of a multiclass task. steps: of the pre-processing.
    class_weights: `balanced`, or class → weight of its rows in the fit; none where all count alike.
    calibration: fitted on validate. source: of a model that is written as Python.
    progress: called with what is done and its share in 0–1.
    """

    task: Task
    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    train: tuple[Matrix, Matrix]
    validate: tuple[Matrix, Matrix]
    steps: Sequence[Step]
    class_weights: str | Mapping[str, float]
    calibration: Method
    seed: int
    threads: int
    source: str
    progress: Callable[[str, float], None]

    def fitted(
        self,
        estimator: str,
        parameters: Mapping[str, Any],
        *,
        learned: Callable[[int, float, float], None] | None = None,
        over: Callable[[], bool] | None = None,
    ) -> Fitted:
        """The model of that estimator with those parameters, not calibrated. learned, over: as of a FitTask."""
        more: dict[str, Any] = {"learned": learned} if learned else {}
        more |= {"over": over} if over else {}
        made = estimator_named(estimator).fit(self._task(parameters, **more))
        return Fitted(self._prepared[0], made, Calibration())

    def calibrated(self, model: Fitted) -> Fitted:
        """The model with the calibration that is asked for, fitted on validate."""
        matrix, label = self.validate
        curve = Calibration.fit(self.calibration, self.task, label, model.score(matrix))
        return Fitted(model.preprocessing, model.estimator, curve)

    def of_rows(self, rows: int) -> Learning:
        """The same from that many rows of train, spread evenly over it."""
        matrix, label = self.train
        kept = np.linspace(0, len(label) - 1, rows).astype(np.int64)
        return Learning(**{**_fields(self), "train": (matrix[kept], label[kept])})

    def losses(self, model: Fitted) -> tuple[float, float]:
        """The mean loss on train and on validate."""
        parts = (loss_per_row(self.task, label, model.score(matrix)) for matrix, label in (self.train, self.validate))
        means = [float(np.mean(part)) for part in parts]
        # As boosting tells it, in the label's unit.
        train, validate = np.sqrt(means) if self.task == "regression" else means
        return float(train), float(validate)

    def _task(self, parameters: Mapping[str, Any], **more: Any) -> FitTask:
        preprocessing, train, validate = self._prepared
        return FitTask(
            features=preprocessing.design,
            train=(train, self.train[1]),
            validate=(validate, self.validate[1]),
            parameters=parameters,
            seed=self.seed,
            threads=self.threads,
            progress=self.progress,
            task=self.task,
            classes=len(self.classes),
            weights=self._weights,
            source=self.source,
            **more,
        )

    @cached_property
    def _prepared(self) -> tuple[Preprocessing, Matrix, Matrix]:
        """The pre-processing, and both matrices as it leaves them."""
        fitted, train = Preprocessing.fit(self.steps, self.features, self.train, self.classes)
        if not fitted.design:
            raise DeclarationError("preprocessing drops every feature, but a model needs at least one")
        return fitted, train, fitted.apply(self.validate[0])

    @cached_property
    def _weights(self) -> tuple[Matrix | None, Matrix | None]:
        if not self.class_weights:
            return None, None
        names = self.classes or SIDES
        counts = np.bincount(self.train[1].astype(np.int64), minlength=len(names))
        if isinstance(self.class_weights, str):
            # As scikit-learn's: every class weighs the same in all.
            by_class = len(self.train[1]) / (len(names) * np.maximum(counts, 1))
        else:
            by_class = np.array([_weight(self.class_weights, name, names) for name in names])
        train, validate = (by_class[label.astype(np.int64)] for _, label in (self.train, self.validate))
        return train, validate


def _weight(weights: Mapping[str, float], name: str, names: Sequence[str]) -> float:
    strange = sorted({*weights} - {*names})
    if strange:
        raise DeclarationError(
            f"class_weights weighs {strange[0]}, but there is no such class", allowed=nearest(strange[0], names)
        )
    return float(weights.get(name, 1.0))


def _fields(of: Learning) -> dict[str, Any]:
    return {name: getattr(of, name) for name in Learning.__dataclass_fields__}
