from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import sklearn.metrics

from ml_platform.engine import class_metrics


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(5)
    score = draw.dirichlet([1.0, 2.0, 1.0], size=1500)
    label = np.array([draw.choice(3, p=row) for row in score], dtype=float)
    return label, score


def test_metrics_agree_with_scikit_learn(pair):
    label, score = pair
    taken = score.argmax(axis=1)
    measured = class_metrics.evaluate(label, score)
    area = sklearn.metrics.roc_auc_score(label, score, multi_class="ovr", average="macro")
    assert measured["roc_auc"] == pytest.approx(area, abs=1e-12)
    assert measured["log_loss"] == pytest.approx(sklearn.metrics.log_loss(label, score), rel=1e-9)
    assert measured["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(label, score, scale_by_half=False))
    assert measured["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(label, taken))
    assert measured["balanced_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(label, taken))
    assert measured["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(label, taken, average="macro"))


def test_confusion_agrees_with_scikit_learn(pair):
    label, score = pair
    theirs = sklearn.metrics.confusion_matrix(label, score.argmax(axis=1))
    assert (class_metrics.confusion(label, score) == theirs).all()


def test_a_class_without_a_row_is_left_out():
    score = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1]])
    measured = class_metrics.evaluate([0, 1, 1], score)
    assert (measured["roc_auc"], measured["balanced_accuracy"], measured["macro_f1"]) == (1, 1, 1)
    assert math.isnan(class_metrics.roc_auc([1, 1, 1], score))


def test_worked_numbers_of_the_docstrings_hold():
    assert doctest.testmod(class_metrics) == (0, 4)
