from __future__ import annotations

import pyarrow as pa
import pytest
import sklearn.metrics

from ml_platform.engine.measuring import measured_alike
from ml_platform.engine.package import ModelCard


def card(task: str, *classes: str) -> ModelCard:
    return ModelCard(task, "linear", "kind", (), parameters={}, seed=1, classes=classes)


def wide(*rows: list[float]) -> pa.Array:
    return pa.array(rows, type=pa.list_(pa.float64(), len(rows[0])))


def test_versions_are_measured_on_the_same_rows():
    scores = pa.table({"kind": [False, True], "score_1": [0.2, 0.9], "score_2": [0.6, 0.4]})
    measured = measured_alike({"2": card("binary"), "1": card("binary")}, scores, "kind")
    assert (measured["1"]["roc_auc"], measured["2"]["roc_auc"]) == (1, 0)


def test_a_class_that_only_the_candidate_knows_counts_against_the_champion():
    # given a champion from before the herbs
    scores = pa.table(
        {
            "kind": ["bush", "herb", "tree"],
            "score_1": wide([0.8, 0.2], [0.5, 0.5], [0.3, 0.7]),
            "score_2": wide([0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]),
        }
    )
    measured = measured_alike(
        {"2": card("multiclass", "bush", "herb", "tree"), "1": card("multiclass", "bush", "tree")}, scores, "kind"
    )
    assert measured["2"]["log_loss"] == pytest.approx(
        sklearn.metrics.log_loss([0, 1, 2], [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    )
    # an herb was impossible: one float64 epsilon, 36 nats, in one row of three
    assert measured["1"]["log_loss"] > 12
    assert measured["1"]["accuracy"] == pytest.approx(2 / 3)


def test_values_are_measured_as_values():
    scores = pa.table({"kind": [1.0, 3.0], "score_1": [2.0, 2.0]})
    assert measured_alike({"1": card("regression")}, scores, "kind")["1"]["rmse"] == 1
