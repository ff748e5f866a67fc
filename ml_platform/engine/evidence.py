"""Evidence: what a fitted model is known by, measured on its splits and written into its package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_platform.engine import class_metrics, plots
from ml_platform.engine.drift import category_statistics, number_statistics
from ml_platform.engine.evaluation import evaluate
from ml_platform.engine.package import PLOTS
from ml_platform.engine.permutation import permutation_importance
from ml_platform.engine.scorer import Fitted
from ml_platform.engine.slices import slice_table
from ml_platform.records.metric import Metric, Task, loss_of

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The loss on train and validate as a fit went on, by rounds or by rows of train."""

    unit: str
    steps: list[int] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validate: list[float] = field(default_factory=list)

    def add(self, step: int, train: float, validate: float) -> None:
        """One more step stands in the curve."""
        self.steps.append(step)
        self.train.append(train)
        self.validate.append(validate)


@dataclass(frozen=True)
class Evidence:
    """A model, a simpler one fitted beside it, and the splits that both are measured on.

    names: of the features, in the order of the matrices. classes: of a multiclass task.
    matrices, labels, columns: split → encoded matrix, labels, and the columns of the slices.
    metrics: that are told; all of the task's where there is none. titles: of both models, for legends.
    """

    task: Task
    names: Sequence[str]
    classes: Sequence[str]
    matrices: Mapping[str, Numbers]
    labels: Mapping[str, Numbers]
    columns: Mapping[str, Mapping[str, pa.ChunkedArray]]
    metrics: Sequence[Metric]
    titles: tuple[str, str]
    model: Fitted
    baseline: Fitted
    curve: Curve
    seed: int

    @cached_property
    def scores(self) -> Mapping[str, Numbers]:
        """Split → what the model says of its rows."""
        return {split: self.model.score(matrix) for split, matrix in self.matrices.items()}

    @cached_property
    def others(self) -> Mapping[str, Numbers]:
        """Split → what the simpler model says of its rows."""
        return {split: self.baseline.score(matrix) for split, matrix in self.matrices.items()}

    def measured(self) -> dict[str, Any]:
        """Split → metric → value, and the same of the simpler model below `baseline`."""
        return {**self._of(self.scores), "baseline": self._of(self.others)}

    def slices(self) -> list[dict[str, Any]]:
        """The quality on the test split, told apart."""
        told = slice_table(
            self.task, self.columns["test"], self.columns["train"], self.labels["test"], self.scores["test"]
        )
        plain = ("column", "value", "rows", *self.metrics)
        return [{name: value for name, value in row.items() if not self.metrics or name in plain} for row in told]

    def permutation(self) -> Mapping[str, float]:
        """Feature → rise of the loss on the test split."""
        return permutation_importance(
            self.task, self.model.score, self.names, self.matrices["test"], self.labels["test"], self.seed
        )

    def statistics(self) -> dict[str, Any]:
        """The distribution of what the model says of the train split, that monitors compare with."""
        score = self.scores["train"]
        if self.task != "multiclass":
            return number_statistics(score)
        return category_statistics([self.classes[place] for place in score.argmax(axis=1)])

    def draw(self, package: Path, slices: Sequence[Mapping[str, Any]], permutation: Mapping[str, float]) -> None:
        """The package's `plots` holds every picture that its task has."""
        drawn = {
            **self._of_task(),
            "permutation_importance": plots.permutation(permutation),
        }
        if shares := self.model.estimator.importance():
            drawn["importance"] = plots.importance(shares)
        if self.curve.steps:
            told = self.curve
            drawn["learning_curve"] = plots.learning_curve(told.unit, told.steps, told.train, told.validate)
        if slices:
            metric = next(iter(self.metrics), loss_of(self.task))
            overall = evaluate(self.task, self.labels["test"], self.scores["test"])[metric]
            drawn["slices"] = plots.slices(metric, slices, overall)
        (package / PLOTS).mkdir(exist_ok=True)
        for name, png in drawn.items():
            (package / PLOTS / f"{name}.png").write_bytes(png)

    def _of(self, scores: Mapping[str, Numbers]) -> dict[str, dict[str, float]]:
        return {split: evaluate(self.task, label, scores[split], self.metrics) for split, label in self.labels.items()}

    def _of_task(self) -> dict[str, bytes]:
        label, ours, theirs = self.labels["test"], self.scores["test"], self.others["test"]
        if self.task == "regression":
            return {"residuals": plots.residuals(label, ours)}
        if self.task == "binary":
            both = dict(zip(self.titles, (ours, theirs), strict=True))
            table = class_metrics.confusion(label, np.column_stack([1 - ours, ours]))
            return {
                "roc": plots.roc(label, both),
                "precision_recall": plots.precision_recall(label, both),
                "calibration": plots.calibration(label, both),
                "confusion": plots.confusion(table, ["no", "yes"]),
            }
        taken = {title: score.max(axis=1) for title, score in zip(self.titles, (ours, theirs), strict=True)}
        return {
            "roc": plots.classes("roc", label, ours, self.classes),
            "precision_recall": plots.classes("precision_recall", label, ours, self.classes),
            # Of the class that the model takes a row for.
            "calibration": plots.calibration(ours.argmax(axis=1) == label, {self.titles[0]: taken[self.titles[0]]}),
            "confusion": plots.confusion(class_metrics.confusion(label, ours), self.classes),
        }
