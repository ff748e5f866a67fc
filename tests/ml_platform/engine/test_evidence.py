from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ml_platform.engine.calibrating import Calibration
from ml_platform.engine.estimators.baseline import BaselineEstimator
from ml_platform.engine.evidence import Curve, Evidence
from ml_platform.engine.package import Feature
from ml_platform.engine.preprocessing import Preprocessing
from ml_platform.engine.scorer import Fitted

FEATURES = (Feature("x", "number"),)


class Says(BaselineEstimator):
    """A model that answers by its one feature."""

    def score(self, matrix):
        return matrix[:, 0]


def fitted(estimator: BaselineEstimator) -> Fitted:
    return Fitted(Preprocessing(FEATURES), estimator, Calibration())


@pytest.fixture
def evidence() -> Evidence:
    draw = np.random.default_rng(9)
    matrices = {split: draw.random((200, 1)) for split in ("train", "validate", "test")}
    labels = {split: (draw.random(200) < matrix[:, 0]).astype(float) for split, matrix in matrices.items()}
    column = pa.chunked_array([["a", "b"] * 100])
    curve = Curve("round")
    curve.add(1, 0.7, 0.7)
    return Evidence(
        task="binary",
        names=["x"],
        classes=(),
        matrices=matrices,
        labels=labels,
        columns={split: {"by": column} for split in matrices},
        metrics=["roc_auc", "brier"],
        titles=("model", "baseline"),
        model=fitted(Says(0.5)),
        baseline=fitted(BaselineEstimator(0.5)),
        curve=curve,
        seed=1,
    )


def test_both_models_are_measured_on_the_same_splits(evidence):
    measured = evidence.measured()
    assert measured.keys() == {"train", "validate", "test", "baseline"}
    assert measured["test"].keys() == {"roc_auc", "brier"}
    assert measured["test"]["roc_auc"] > 0.75
    assert measured["baseline"]["test"] == {"roc_auc": 0.5, "brier": 0.25}


def test_slices_tell_the_metrics_that_are_named(evidence):
    rows = evidence.slices()
    assert [(row["value"], row["rows"]) for row in rows] == [("a", 100), ("b", 100)]
    assert rows[0].keys() == {"column", "value", "rows", "roc_auc", "brier"}


def test_what_is_looked_at_raises_the_loss_when_it_is_dealt_anew(evidence):
    assert evidence.permutation()["x"] > 0.1


def test_pictures_are_those_of_what_is_there(evidence, tmp_path):
    evidence.draw(tmp_path, [], {"x": 0.1})
    # a model that draws on nothing has no importance
    assert {path.stem for path in (tmp_path / "plots").iterdir()} == {
        "roc",
        "precision_recall",
        "calibration",
        "confusion",
        "learning_curve",
        "permutation_importance",
    }
