"""The fitting job: one pinned training set in, one model package out, with a simpler model fitted beside it."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ml_platform.engine import kept_code, model_card, plots, request_time
from ml_platform.engine.drift import category_statistics, number_statistics
from ml_platform.engine.estimators import completed
from ml_platform.engine.evidence import Curve, Evidence
from ml_platform.engine.learning import Learning
from ml_platform.engine.package import (
    BASELINE,
    INPUT_EXAMPLE,
    METRICS,
    ORDER,
    PLOTS,
    SLICES,
    TRIALS,
    ModelCard,
    write_card,
    write_json,
)
from ml_platform.engine.scorer import Fitted
from ml_platform.engine.search import AUTOML, Found, Limits, Search
from ml_platform.errors import DeclarationError
from ml_platform.jobs.contract import JobOrder, emit, run
from ml_platform.jobs.training_set import Lesson, TrainingRequest, read_lesson
from ml_platform.records.feature import RequestTimeFeatures
from ml_platform.records.metric import HIGHER_IS_BETTER, Task, loss_of
from ml_platform.records.preprocessing import Step

_REQUIRED = {"training_set": dict, "label": str, "features": dict, "estimator": str, "seed": int}
_OPTIONAL: Mapping[str, Any] = {
    "split_column": "split",
    "task": "binary",
    "parameters": {},
    "baseline": "baseline",
    "preprocessing": [],
    "balanced": False,
    "class_weights": {},
    "calibration": "none",
    "metrics": [],
    "slices": [],
    "source": "",
    "request_time": [],
    "tune": {},
    "automl": {},
    "threads": 1,
    "context": {},
}
_EXAMPLE_ROWS = 5
_LIBRARIES = ("lightgbm", "numpy", "scikit-learn")
# Points of the learning curve of what does not learn in rounds: shares of train, all of which is fitted on anyway.
_SHARES = (1 / 16, 1 / 8, 1 / 4)
_MOST_ROWS_OF_A_POINT = 20_000


def fit(order: JobOrder, output: Path) -> None:
    """The folder is a model package; the same arguments on the same versions give the same bytes."""
    given = order.checked(_REQUIRED, _OPTIONAL)
    if given["task"] not in get_args(Task):
        raise DeclarationError(
            f"task is {given['task']}, but no such task is fitted", allowed=f"Tasks are {', '.join(get_args(Task))}"
        )
    fixed = given["parameters"] if given["automl"] else completed(given["estimator"], given["parameters"])
    beside = completed(given["baseline"], {})
    steps = tuple(Step(it["kind"], tuple(it["features"]), it["settings"]) for it in given["preprocessing"])
    lesson = _read(order, given, steps)
    emit("log", ", ".join(f"{len(split.label)} rows to {name}" for name, split in lesson.splits.items()))
    learning = _learning(given, lesson, steps)
    emit("log", f"fitting {given['baseline']} beside it, for comparison")
    baseline = learning.calibrated(learning.fitted(given["baseline"], beside))
    emit("log", f"fitting {given['estimator']} on {len(lesson.features)} features")
    found = _found(given, learning, fixed, order.state)
    curve = found.curve if found.curve.steps else _by_rows(learning, found)
    model = learning.calibrated(found.model)
    _write(output, given, lesson, found, _evidence(given, lesson, (model, baseline), curve))
    write_json(output / ORDER, _again(order, found), sort_keys=False)


def _again(order: JobOrder, found: Found) -> dict[str, Any]:
    """What it takes to fit the same model again, features in their order; a search is not made twice."""
    left_out = ("training_set", "tune", "automl")
    told = {name: value for name, value in order.arguments.items() if name not in left_out}
    return {**told, "estimator": found.estimator, "parameters": dict(found.parameters)}


def _found(given: Mapping[str, Any], learning: Learning, fixed: Mapping[str, Any], state: Path | None) -> Found:
    """The model by its parameters as they are, or by the best that a search has found."""
    asked = given["automl"] or given["tune"]
    if not asked:
        curve = Curve("round")
        return Found(
            given["estimator"], fixed, learning.fitted(given["estimator"], fixed, learned=curve.add), curve, ()
        )
    limits = Limits(asked["trials"], asked["seconds"], asked["metric"] or loss_of(learning.task), asked["pruning"])
    spaces = AUTOML if given["automl"] else {given["estimator"]: given["tune"]["space"]}
    # Of a fit among many, the rounds are no news.
    quiet = replace(learning, progress=lambda *_: None)
    return Search(quiet, spaces, given["parameters"], limits, state, learning.progress).run()


def _read(order: JobOrder, given: Mapping[str, Any], steps: tuple[Step, ...]) -> Lesson:
    columns = {name: given[name] for name in ("features", "label", "split_column", "task")}
    pin = order.table(given["training_set"], {})
    return read_lesson(TrainingRequest(**pin, **columns, steps=steps, slices=tuple(given["slices"])))


def _learning(given: Mapping[str, Any], lesson: Lesson, steps: Sequence[Step]) -> Learning:
    train, validate = (lesson.splits[name] for name in ("train", "validate"))
    return Learning(
        task=given["task"],
        features=lesson.features,
        classes=lesson.classes,
        train=(train.matrix, train.label),
        validate=(validate.matrix, validate.label),
        steps=steps,
        class_weights="balanced" if given["balanced"] else given["class_weights"],
        calibration=given["calibration"],
        seed=given["seed"],
        threads=given["threads"],
        source=given["source"],
        progress=lambda text, share: emit("progress", text, share),
    )


def _by_rows(learning: Learning, found: Found) -> Curve:
    """The learning curve of what does not learn in rounds: fitted on some of the rows, and on all."""
    curve, rows = Curve("rows of train"), len(learning.train[1])
    for share in _SHARES:
        some = learning.of_rows(min(int(rows * share), _MOST_ROWS_OF_A_POINT))
        # Of few rows, some hold one class only, from which nothing is learned.
        if len(np.unique(some.train[1])) < len(np.unique(learning.train[1])) and learning.task != "regression":
            continue
        curve.add(len(some.train[1]), *some.losses(some.fitted(found.estimator, found.parameters)))
    curve.add(rows, *learning.losses(found.model))
    return curve


def _card(given: Mapping[str, Any], lesson: Lesson, found: Found) -> ModelCard:
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return ModelCard(
        task=given["task"],
        estimator=found.estimator,
        label=given["label"],
        features=lesson.features,
        parameters=found.parameters,
        seed=given["seed"],
        splits={name: {"rows": len(s.label), "rate": _rate(s.label, lesson)} for name, s in lesson.splits.items()},
        versions={"python": platform.python_version(), **libraries},
        context=given["context"],
        classes=lesson.classes,
        code=kept_code.own_digest(),
    )


def _rate(label: Any, lesson: Lesson) -> Any:
    if not lesson.classes:
        return float(np.mean(label))
    shares = np.bincount(label.astype(np.int64), minlength=len(lesson.classes)) / len(label)
    return dict(zip(lesson.classes, map(float, shares), strict=True))


def _evidence(given: Mapping[str, Any], lesson: Lesson, models: tuple[Fitted, Fitted], curve: Curve) -> Evidence:
    return Evidence(
        task=given["task"],
        names=[feature.name for feature in lesson.features],
        classes=lesson.classes,
        matrices={name: split.matrix for name, split in lesson.splits.items()},
        labels={name: split.label for name, split in lesson.splits.items()},
        columns={name: split.slices for name, split in lesson.splits.items()},
        metrics=given["metrics"],
        titles=(given["estimator"], f"baseline: {given['baseline']}"),
        model=models[0],
        baseline=models[1],
        curve=curve,
        seed=given["seed"],
    )


def _write(output: Path, given: Mapping[str, Any], lesson: Lesson, found: Found, evidence: Evidence) -> None:
    card = _card(given, lesson, found)
    evidence.model.save(output)
    write_card(output, card)
    if given["request_time"]:
        request_time.save(output, [RequestTimeFeatures(**it) for it in given["request_time"]])
    if found.trials:
        write_json(output / TRIALS, list(found.trials))
        asked = given["automl"] or given["tune"]
        metric = asked["metric"] or loss_of(given["task"])
        drawn = plots.search(metric, [trial["value"] for trial in found.trials], higher=HIGHER_IS_BETTER[metric])
        (output / PLOTS).mkdir()
        (output / PLOTS / "search.png").write_bytes(drawn)
    metrics, slices, permutation = evidence.measured(), evidence.slices(), evidence.permutation()
    write_json(output / METRICS, metrics)
    write_json(output / SLICES, slices)
    write_json(output / BASELINE, _statistics(lesson, evidence))
    write_json(output / INPUT_EXAMPLE, _example(lesson))
    text = model_card.written(card, metrics, slices, permutation, _notes(given, found))
    (output / model_card.FILE).write_text(text, encoding="utf-8")
    evidence.draw(output, slices, permutation)
    for split in lesson.splits:
        for metric, value in metrics[split].items():
            emit("metric", f"{split}/{metric}", value)


def _notes(given: Mapping[str, Any], found: Found) -> list[str]:
    notes = []
    if found.trials:
        notes.append(
            f"Its parameters are the best of {len(found.trials)} trials on validate, whose metrics flatter it."
        )
    if given["balanced"] or given["class_weights"]:
        told = "balanced" if given["balanced"] else given["class_weights"]
        notes.append(f"Classes were weighted ({told}): without calibration, its probabilities are not shares.")
    if given["calibration"] != "none":
        notes.append(f"Probabilities are calibrated ({given['calibration']}) on validate, whose metrics flatter it.")
    return notes


def _statistics(lesson: Lesson, evidence: Evidence) -> dict[str, Any]:
    """The training statistics that monitors compare windows with; `score` is of the model's own output."""
    train = lesson.splits["train"]
    return {
        "rows": len(train.label),
        "features": {
            feature.name: category_statistics(train.columns[feature.name])
            if feature.type == "category"
            else number_statistics(train.matrix[:, position])
            for position, feature in enumerate(lesson.features)
        },
        "score": evidence.statistics(),
    }


def _example(lesson: Lesson) -> dict[str, list[Any]]:
    """Feature → the values of the first training rows, as a scorer takes them."""
    columns = lesson.splits["train"].columns
    rows = {feature.name: columns[feature.name][:_EXAMPLE_ROWS].tolist() for feature in lesson.features}
    return {name: [None if value != value else value for value in values] for name, values in rows.items()}


if __name__ == "__main__":
    sys.exit(run(fit))
