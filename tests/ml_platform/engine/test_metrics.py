from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics

from ml_platform.engine import metrics


@pytest.fixture(params=["distinct scores", "tied scores", "scores at 0 and 1"])
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(3)
    score = draw.random(2000)
    label = (draw.random(2000) < score).astype(float)
    if request.param == "tied scores":
        score = np.round(score, 1)
    if request.param == "scores at 0 and 1":
        score = np.where(score < 0.2, 0.0, np.where(score > 0.8, 1.0, score))
    return label, score


def test_metrics_agree_with_scikit_learn(pair):
    label, score = pair
    measured = metrics.evaluate(label, score)
    assert measured["roc_auc"] == pytest.approx(sklearn.metrics.roc_auc_score(label, score), abs=1e-12)
    assert measured["log_loss"] == pytest.approx(sklearn.metrics.log_loss(label, score), rel=1e-9)
    assert measured["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(label, score), abs=1e-12)


def test_calibration_agrees_with_scikit_learn(pair):
    label, score = pair
    happened, promised = sklearn.calibration.calibration_curve(label, score, n_bins=10)
    ours = metrics.calibration(label, score)
    assert np.allclose(ours[0], promised)
    assert np.allclose(ours[1], happened)
    weighted = float(np.sum(ours[2] * np.abs(promised - happened)) / len(label))
    assert metrics.expected_calibration_error(label, score) == pytest.approx(weighted)


def test_roc_curve_agrees_with_scikit_learn(pair):
    label, score = pair
    false_positive, true_positive, _ = sklearn.metrics.roc_curve(label, score, drop_intermediate=False)
    ours = metrics.roc_curve(label, score)
    assert np.allclose(ours[0], false_positive)
    assert np.allclose(ours[1], true_positive)


def test_auc_of_one_class_is_not_a_number():
    assert math.isnan(metrics.roc_auc([1, 1], [0.2, 0.3]))


def test_precision_and_recall_agree_with_scikit_learn(pair):
    label, score = pair
    precision, recall, _ = sklearn.metrics.precision_recall_curve(label, score)
    ours = metrics.precision_recall_curve(label, score)
    assert np.allclose(ours[0], recall[::-1])
    assert np.allclose(ours[1], precision[::-1])
    average = sklearn.metrics.average_precision_score(label, score)
    assert metrics.evaluate(label, score)["average_precision"] == pytest.approx(average, abs=1e-12)


def test_decisions_agree_with_scikit_learn(pair):
    label, score = pair
    measured, taken = metrics.decisions(label, score), score >= 0.5
    assert measured == pytest.approx(
        {
            name: getattr(sklearn.metrics, f"{name}_score")(label, taken)
            for name in ("accuracy", "precision", "recall", "f1")
        }
    )


def test_worked_numbers_of_the_docstrings_hold():
    assert doctest.testmod(metrics) == (0, 6)
