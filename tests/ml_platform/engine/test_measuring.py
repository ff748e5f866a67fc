from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics

from ml_platform.engine.gate import Asked
from ml_platform.engine.measuring import Scored, measured
from ml_platform.engine.package import ModelCard

LOSS = Asked("log_loss", 0.95, 200, 0)


def card(task: str, *classes: str) -> ModelCard:
    return ModelCard(task, "linear", "kind", (), parameters={}, seed=1, classes=classes)


def wide(*rows: list[float]) -> pa.Array:
    return pa.array(rows, type=pa.list_(pa.float64(), len(rows[0])))


def test_versions_are_measured_on_the_same_rows():
    scores = pa.table({"kind": [False, True], "score_1": [0.2, 0.9], "score_2": [0.6, 0.4]})
    scored = Scored({"2": card("binary"), "1": card("binary")}, scores, "kind")
    found = measured(scored, LOSS, "2", "1")
    assert (found.champion["roc_auc"], found.candidate["roc_auc"]) == (1, 0)
    assert found.improvement.estimate == pytest.approx(found.champion["log_loss"] - found.candidate["log_loss"])
    assert found.improvement.high < 0


def test_a_class_that_only_the_candidate_knows_counts_against_the_champion():
    # given a champion from before the herbs
    scores = pa.table(
        {
            "kind": ["bush", "herb", "tree"],
            "score_1": wide([0.8, 0.2], [0.5, 0.5], [0.3, 0.7]),
            "score_2": wide([0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]),
        }
    )
    cards = {"2": card("multiclass", "bush", "herb", "tree"), "1": card("multiclass", "bush", "tree")}
    found = measured(Scored(cards, scores, "kind"), LOSS, "2", "1")
    assert found.candidate["log_loss"] == pytest.approx(
        sklearn.metrics.log_loss([0, 1, 2], [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    )
    # an herb was impossible: one float64 epsilon, 36 nats, in one row of three
    assert found.champion["log_loss"] > 12
    assert found.champion["accuracy"] == pytest.approx(2 / 3)


def test_values_are_measured_as_values_and_nobody_to_compare_with_shows_no_improvement():
    scores = pa.table({"kind": [1.0, 3.0], "score_1": [2.0, 2.0]})
    found = measured(Scored({"1": card("regression")}, scores, "kind"), Asked("rmse", 0.95, 100, 0), "1", None)
    assert found.candidate["rmse"] == 1
    assert (found.champion, found.improvement, found.slices) == (None, None, None)


def test_what_a_version_is_besides_stands_with_its_metrics():
    scores = pa.table({"kind": [False, True] * 20, "score_1": np.linspace(0.1, 0.9, 40), "score_2": [0.5] * 40})
    besides = {"1": {"latency_p99_ms": 2.5}}
    found = measured(Scored({n: card("binary") for n in "12"}, scores, "kind", besides), LOSS, "1", "2")
    assert found.candidate["latency_p99_ms"] == 2.5
    assert "latency_p99_ms" not in found.champion
    assert {"calibration_slope", "calibration_intercept"} <= found.candidate.keys()


def test_slices_are_measured_for_the_candidate():
    scores = pa.table({"kind": [False, True] * 40, "score_1": [0.2, 0.8] * 40, "carrier": ["AA"] * 40 + ["UA"] * 40})
    asked = Asked("log_loss", 0.95, 100, 0, ("carrier",), "brier", 30)
    found = measured(Scored({"1": card("binary")}, scores, "kind"), asked, "1", None).slices
    assert [(it.column, it.rows, round(it.estimate, 4)) for it in found.slices] == [("carrier", 40, 0.04)] * 2


def test_no_row_tells_nothing():
    scores = pa.table({"kind": pa.array([], pa.bool_()), "score_1": pa.array([], pa.float64())})
    scored = Scored({"1": card("binary"), "2": card("binary")}, scores, "kind")
    assert measured(scored, LOSS, "1", "2").candidate == {}
