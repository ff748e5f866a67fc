"""A fit task on the training set with a known signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ml_platform.engine.encoding import Encoding
from ml_platform.engine.estimators import completed
from ml_platform.engine.estimators.contract import FitTask
from ml_platform.engine.evaluation import places_in
from ml_platform.engine.package import Feature
from ml_platform.records.metric import Task
from ml_platform.testing import training_set

CLASSES = ("early", "late", "on time")
SOURCE = '''\
import numpy as np


def fit(train, validate, question):
    """What the labels are on the whole."""
    if question.task == "multiclass":
        return {"said": np.bincount(train.y.astype(int), minlength=question.classes) / len(train.y)}
    return {"said": np.array(train.y.mean())}


def predict(state, x):
    return np.broadcast_to(state["said"], (len(x), *state["said"].shape))
'''
_KNOWN = {"carrier": ("AA", "DL", "UA")}


class Splits:
    """The encoded splits, their labels by task, and the true chance of each row."""

    def __init__(self) -> None:
        self.features = tuple(Feature(name, kind, _KNOWN.get(name, ())) for name, kind in training_set.FEATURES.items())
        table = training_set.rows()
        matrix = Encoding(self.features).matrix(training_set.columns(table))
        label = table.column("late").to_numpy().astype(np.float64)
        split = table.column("split").to_numpy()
        self.of = {name: (matrix[split == name], label[split == name]) for name in training_set.SPLIT_ROWS}
        kind = places_in(table.column("kind").to_pylist(), CLASSES)
        self.labels = {"binary": label, "multiclass": kind, "regression": table.column("minutes").to_numpy()}
        self.split = split
        self.chance = {name: table.column("chance").to_numpy()[split == name] for name in training_set.SPLIT_ROWS}


@pytest.fixture(scope="session")
def splits() -> Splits:
    return Splits()


@pytest.fixture
def task(splits: Splits) -> Callable[..., FitTask]:
    def make(estimator: str, seed: int = 1, task: Task = "binary", **parameters: Any) -> FitTask:
        label = {name: splits.labels[task][splits.split == name] for name in training_set.SPLIT_ROWS}
        return FitTask(
            features=splits.features,
            train=(splits.of["train"][0], label["train"]),
            validate=(splits.of["validate"][0], label["validate"]),
            task=task,
            classes=len(CLASSES) if task == "multiclass" else 0,
            source=SOURCE,
            parameters=completed(estimator, parameters),
            seed=seed,
            threads=2,
            progress=lambda *_: None,
        )

    return make
