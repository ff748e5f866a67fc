from __future__ import annotations

import doctest
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ml_platform.engine.calibration_line import INTERCEPT, SLOPE, calibration_line


def given(count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(9)
    chance = draw.uniform(0.02, 0.98, count)
    return (draw.random(count) < chance).astype(float), chance


def test_slope_is_that_of_a_logistic_regression_on_the_log_odds():
    label, score = given()
    odds = np.log(score / (1 - score))
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(odds[:, None], label).coef_[0, 0]
    assert calibration_line("binary", label, score)[SLOPE] == pytest.approx(theirs, abs=1e-5)


def test_probabilities_that_are_too_sure_have_half_the_slope():
    label, score = given()
    odds = 2 * np.log(score / (1 - score))
    true, sure = (calibration_line("binary", label, it)[SLOPE] for it in (score, 1 / (1 + np.exp(-odds))))
    assert sure == pytest.approx(true / 2)


def test_intercept_is_the_shift_by_which_the_mean_comes_right():
    # A third happen where a half was said: the log-odds of 1/3 less those of 1/2.
    found = calibration_line("binary", np.array([1.0, 0.0, 0.0]), np.full(3, 0.5))
    assert found[INTERCEPT] == pytest.approx(np.log(0.5))
    assert np.isnan(found[SLOPE])


def test_values_have_the_line_of_least_squares():
    label, score = np.array([1.0, 3.0, 5.0, 9.0]), np.array([1.0, 2.0, 4.0, 5.0])
    slope, _ = np.polyfit(score, label, 1)
    found = calibration_line("regression", label, score)
    assert found[SLOPE] == pytest.approx(slope)
    assert found[INTERCEPT] == pytest.approx(1.5)


def test_classes_have_no_one_line():
    assert calibration_line("multiclass", np.zeros(2), np.full((2, 2), 0.5)) == {}


@pytest.mark.parametrize(
    ("label", "score"),
    [
        ([], []),
        ([1.0, 1.0], [0.4, 0.6]),
        ([0.0, 0.0, 1.0, 1.0], [0.1, 0.2, 0.8, 0.9]),
        ([0.0, 1.0], [0.1, float("nan")]),
    ],
    ids=["no row", "one label", "divided by the score", "a score that is not known"],
)
def test_a_line_that_is_not_determined_is_not_told(label, score):
    assert np.isnan(calibration_line("binary", np.array(label), np.array(score))[SLOPE])


def test_a_value_that_never_moves_has_no_slope():
    assert np.isnan(calibration_line("regression", np.arange(3.0), np.ones(3))[SLOPE])


def test_worked_example_holds():
    assert doctest.testmod(sys.modules[calibration_line.__module__]).failed == 0
