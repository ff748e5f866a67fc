"""The fitting job: one pinned training set in, one model package out, with a simpler model fitted beside it."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine import plots
from ml_platform.engine.drift import category_statistics, number_statistics
from ml_platform.engine.estimators import completed, estimator_named
from ml_platform.engine.estimators.contract import Estimator, FitTask
from ml_platform.engine.metrics import evaluate
from ml_platform.engine.package import (
    BASELINE,
    INPUT_EXAMPLE,
    METRICS,
    ORDER,
    PLOTS,
    Feature,
    ModelCard,
    write_card,
    write_json,
)
from ml_platform.errors import DeclarationError
from ml_platform.jobs.contract import JobOrder, emit, run
from ml_platform.jobs.training_set import Split, TrainingRequest, read_splits

_REQUIRED = {"training_set": dict, "label": str, "features": dict, "estimator": str, "seed": int}
_OPTIONAL: Mapping[str, Any] = {
    "split_column": "split",
    "task": "binary",
    "parameters": {},
    "baseline": "baseline",
    "threads": 1,
    "context": {},
}
_COLUMNS = ("features", "label", "split_column")
_EXAMPLE_ROWS = 5
_LIBRARIES = ("lightgbm", "numpy", "scikit-learn")

Scores = Mapping[str, NDArray[np.float64]]


def fit(order: JobOrder, output: Path) -> None:
    """The folder is a model package; the same arguments on the same versions give the same bytes."""
    given = order.checked(_REQUIRED, _OPTIONAL)
    if given["task"] != "binary":
        raise DeclarationError(f"task is {given['task']}, but only binary is fitted")
    parameters = completed(given["estimator"], given["parameters"])
    beside = completed(given["baseline"], {})
    pin = order.table(given["training_set"], {})
    features, splits = read_splits(TrainingRequest(**pin, **{name: given[name] for name in _COLUMNS}))
    emit("log", ", ".join(f"{len(split.label)} rows to {name}" for name, split in splits.items()))
    baseline = _fitted(given["baseline"], _task(features, splits, beside, given))
    estimator = _fitted(given["estimator"], _task(features, splits, parameters, given))
    estimator.save(output)
    write_card(output, _card(given, features, splits, parameters))
    # All but where the rows lie: what it takes to do the same again, features in their order.
    told = {name: value for name, value in order.arguments.items() if name != "training_set"}
    write_json(output / ORDER, told, sort_keys=False)
    scores = {name: estimator.score(split.matrix) for name, split in splits.items()}
    others = {name: baseline.score(split.matrix) for name, split in splits.items()}
    _write_metrics(output, splits, scores, others)
    write_json(output / BASELINE, _statistics(features, splits["train"], scores["train"]))
    write_json(output / INPUT_EXAMPLE, _example(features, splits["train"]))
    drawn = {given["estimator"]: scores["test"], f"baseline: {given['baseline']}": others["test"]}
    _write_plots(output, splits["test"].label, drawn, estimator.importance())


def _fitted(name: str, task: FitTask) -> Estimator:
    emit("log", f"fitting {name} on {len(task.features)} features")
    return estimator_named(name).fit(task)


def _task(
    features: tuple[Feature, ...], splits: Mapping[str, Split], parameters: Mapping[str, float], given: dict[str, Any]
) -> FitTask:
    return FitTask(
        features=features,
        train=(splits["train"].matrix, splits["train"].label),
        validate=(splits["validate"].matrix, splits["validate"].label),
        parameters=parameters,
        seed=given["seed"],
        threads=given["threads"],
        progress=lambda text, share: emit("progress", text, share),
    )


def _card(
    given: Mapping[str, Any],
    features: tuple[Feature, ...],
    splits: Mapping[str, Split],
    parameters: Mapping[str, float],
) -> ModelCard:
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return ModelCard(
        task=given["task"],
        estimator=given["estimator"],
        label=given["label"],
        features=features,
        parameters=parameters,
        seed=given["seed"],
        splits={name: {"rows": len(s.label), "rate": float(np.mean(s.label))} for name, s in splits.items()},
        versions={"python": platform.python_version(), **libraries},
        context=given["context"],
    )


def _write_metrics(output: Path, splits: Mapping[str, Split], scores: Scores, others: Scores) -> None:
    ours = {name: evaluate(split.label, scores[name]) for name, split in splits.items()}
    theirs = {name: evaluate(split.label, others[name]) for name, split in splits.items()}
    write_json(output / METRICS, {**ours, "baseline": theirs})
    for split, values in ours.items():
        for metric, value in values.items():
            emit("metric", f"{split}/{metric}", value)


def _statistics(features: tuple[Feature, ...], train: Split, score: NDArray[np.float64]) -> dict[str, Any]:
    """The training statistics that monitors compare windows with; `score` is of the model's own output."""
    return {
        "rows": len(train.label),
        "features": {
            feature.name: category_statistics(train.columns[feature.name])
            if feature.type == "category"
            else number_statistics(train.matrix[:, position])
            for position, feature in enumerate(features)
        },
        "score": number_statistics(score),
    }


def _example(features: tuple[Feature, ...], train: Split) -> dict[str, list[Any]]:
    """Feature → the values of the first training rows, as a scorer takes them."""
    rows = {feature.name: train.columns[feature.name][:_EXAMPLE_ROWS].tolist() for feature in features}
    return {name: [None if value != value else value for value in values] for name, values in rows.items()}


def _write_plots(output: Path, label: NDArray[np.float64], scores: Scores, importance: Mapping[str, float]) -> None:
    folder = output / PLOTS
    folder.mkdir()
    (folder / "roc.png").write_bytes(plots.roc(label, scores))
    (folder / "calibration.png").write_bytes(plots.calibration(label, scores))
    if importance:
        (folder / "importance.png").write_bytes(plots.importance(importance))


if __name__ == "__main__":
    sys.exit(run(fit))
