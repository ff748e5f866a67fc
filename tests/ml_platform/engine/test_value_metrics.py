from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import sklearn.metrics

from ml_platform.engine import value_metrics


def test_metrics_agree_with_scikit_learn():
    draw = np.random.default_rng(6)
    label = draw.normal(size=900)
    score = label + draw.normal(scale=0.4, size=900)
    assert value_metrics.evaluate(label, score) == pytest.approx(
        {
            "rmse": sklearn.metrics.root_mean_squared_error(label, score),
            "mae": sklearn.metrics.mean_absolute_error(label, score),
            "median_absolute_error": sklearn.metrics.median_absolute_error(label, score),
            "r2": sklearn.metrics.r2_score(label, score),
        }
    )


def test_nothing_is_explained_of_a_constant():
    assert math.isnan(value_metrics.evaluate([2.0, 2.0], [1.0, 3.0])["r2"])


def test_worked_numbers_of_the_docstrings_hold():
    assert doctest.testmod(value_metrics) == (0, 1)
