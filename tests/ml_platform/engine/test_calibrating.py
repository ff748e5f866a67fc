from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from ml_platform.engine.calibrating import Calibration

METHODS = ("sigmoid", "isotonic", "temperature")


@pytest.fixture(scope="module")
def binary():
    """Labels, and scores that are far too sure: the log-odds are three times what they should be."""
    draw = np.random.default_rng(2)
    odds = draw.normal(size=4000)
    label = (draw.random(4000) < 1 / (1 + np.exp(-odds))).astype(float)
    return label, 1 / (1 + np.exp(-3 * odds))


@pytest.fixture(scope="module")
def classes():
    draw = np.random.default_rng(3)
    odds = draw.normal(size=(4000, 3))
    chance = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    label = np.array([draw.choice(3, p=row) for row in chance], dtype=float)
    sure = np.exp(3 * odds)
    return label, sure / sure.sum(axis=1, keepdims=True)


def test_sigmoid_is_scikit_learns(binary):
    label, score = binary
    odds = np.log(score) - np.log1p(-score)
    theirs = _SigmoidCalibration().fit(odds, label).predict(odds)
    assert Calibration.fit("sigmoid", "binary", label, score).apply(score) == pytest.approx(theirs, abs=1e-4)


def test_isotonic_is_scikit_learns(binary):
    label, score = binary
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, label).predict(score)
    assert Calibration.fit("isotonic", "binary", label, score).apply(score) == pytest.approx(theirs)


def test_temperature_is_what_an_optimiser_finds(classes):
    label, score = classes
    cooled = lambda power: score ** np.exp(-power)  # noqa: E731
    best = minimize_scalar(lambda power: log_loss(label, cooled(power) / cooled(power).sum(axis=1, keepdims=True)))
    fitted = Calibration.fit("temperature", "multiclass", label, score)
    assert fitted.curves[0]["temperature"] == pytest.approx(float(np.exp(best.x)), rel=1e-3)
    assert fitted.curves[0]["temperature"] == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_probabilities_are_mended_and_saved_ones_are_the_same(task, method, binary, classes, tmp_path):
    label, score = binary if task == "binary" else classes
    fitted = Calibration.fit(method, task, label, score)
    mended = fitted.apply(score)
    assert log_loss(label, mended) < log_loss(label, score) - 0.1
    assert ((mended >= 0) & (mended <= 1)).all()
    if task == "multiclass":
        assert mended.sum(axis=1) == pytest.approx([1.0] * len(label))
    fitted.save(tmp_path)
    assert (Calibration.load(tmp_path).apply(score) == mended).all()
    # one row is calibrated as it is among many
    assert fitted.apply(score[:1]).tolist() == mended[:1].tolist()


def test_no_calibration_leaves_no_file_and_the_scores_as_they_are(tmp_path):
    fitted = Calibration.fit("none", "binary", np.array([0.0, 1.0]), np.array([0.4, 0.6]))
    fitted.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    score = np.array([0.4])
    assert Calibration.load(tmp_path).apply(score) is score


def test_row_of_which_no_class_is_left_is_known_nothing_of():
    # given curves that say 0 of both classes below a half
    curve = {"said": [0.0, 0.5, 1.0], "happened": [0.0, 0.0, 1.0]}
    fitted = Calibration("isotonic", (curve, curve))
    assert fitted.apply(np.array([[0.5, 0.5], [0.9, 0.1]])).tolist() == [[0.5, 0.5], [1.0, 0.0]]
