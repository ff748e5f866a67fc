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


def test_every_metric_has_a_direction():
    assert metrics.evaluate([0, 1], [0.4, 0.6]).keys() == metrics.HIGHER_IS_BETTER.keys()


def test_worked_numbers_of_the_docstrings_hold():
    assert doctest.testmod(metrics) == (0, 4)


def test_a_score_that_is_no_number_leaves_no_metric_known():
    measured = metrics.evaluate([0, 1, 1], [0.1, float("nan"), 0.3])
    assert all(math.isnan(value) for value in measured.values())
