"""Tasks and the metrics of each, by name: what may be declared, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
Metric = Literal[
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "expected_calibration_error",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "macro_f1",
    "rmse",
    "mae",
    "median_absolute_error",
    "r2",
]

# The loss that a fit minimises comes first: it is what candidates are compared by unless something else is declared.
METRICS: Mapping[Task, tuple[Metric, ...]] = {
    "binary": (
        "log_loss",
        "roc_auc",
        "average_precision",
        "brier",
        "expected_calibration_error",
        "accuracy",
        "precision",
        "recall",
        "f1",
    ),
    "multiclass": (
        "log_loss",
        "roc_auc",
        "brier",
        "expected_calibration_error",
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
    ),
    "regression": ("rmse", "mae", "median_absolute_error", "r2"),
}
_LOWER_IS_BETTER = {"log_loss", "brier", "expected_calibration_error", "rmse", "mae", "median_absolute_error"}
HIGHER_IS_BETTER: Mapping[str, bool] = {
    name: name not in _LOWER_IS_BETTER for names in METRICS.values() for name in names
}
# Whatever a model says, these are not less than 0 nor more than 1.
SHARES = frozenset(HIGHER_IS_BETTER) - {"log_loss", "rmse", "mae", "median_absolute_error", "r2", "brier"}


def loss_of(task: Task) -> Metric:
    """The metric that a fit of the task minimises."""
    return METRICS[task][0]
