from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import lightgbm
import numpy as np
import pytest

from ml_platform.engine.estimators.gradient_boosting import GradientBoostingEstimator
from ml_platform.engine.estimators.one_row import OneRow

ROWS = 400


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    """Categories that were seen and that were not, numbers, zeros, huge and missing ones."""
    draw = np.random.default_rng(3)
    numbers = draw.normal(size=(ROWS, 4)) * 10.0 ** draw.integers(-9, 9, (ROWS, 4))
    found = np.column_stack([draw.integers(-1, 9, ROWS), numbers]).astype(float)
    found[draw.random(found.shape) < 0.2] = np.nan
    found[draw.random(found.shape) < 0.1] = 0.0
    return found


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def booster(request, matrix) -> lightgbm.Booster:
    draw = np.random.default_rng(4)
    label = draw.integers(0, 3 if request.param == "multiclass" else 2, ROWS)
    classes = {"num_class": 3} if request.param == "multiclass" else {}
    settings = {"objective": request.param, **classes, "num_leaves": 15, "min_data_in_leaf": 5, "verbose": -1}
    return lightgbm.train(settings, lightgbm.Dataset(matrix, label, categorical_feature=[0]), 40)


def test_one_row_is_scored_to_the_last_digit_as_the_booster_scores_it(booster, matrix):
    for scored in (booster, lightgbm.Booster(model_str=booster.model_to_string())):
        one = OneRow(scored)
        many = scored.predict(matrix)
        assert len(np.unique(many)) > 50
        for row in range(ROWS):
            found = one.score(matrix[row : row + 1])
            assert found.shape == many[row : row + 1].shape
            assert found.tobytes() == many[row : row + 1].tobytes()


def test_a_row_may_lie_in_memory_as_it_likes(booster, matrix):
    one, many = OneRow(booster), booster.predict(matrix)
    turned = np.asfortranarray(matrix)
    assert np.concatenate([one.score(turned[row : row + 1]) for row in range(50)]).tolist() == many[:50].tolist()
    assert one.score(matrix[:1, ::-1][:, ::-1]).tolist() == many[:1].tolist()


def test_threads_do_not_mix_their_rows(booster, matrix):
    one, many = OneRow(booster), booster.predict(matrix)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda row: one.score(matrix[row % ROWS :][:1]), range(10 * ROWS)))
    assert np.concatenate(found).tobytes() == np.concatenate([many] * 10).tobytes()


def test_it_keeps_the_trees_that_it_needs(booster, matrix):
    one = OneRow(lightgbm.Booster(model_str=booster.model_to_string()))
    gc.collect()
    assert one.score(matrix[:1]).tolist() == booster.predict(matrix[:1]).tolist()
    for _ in range(200):
        OneRow(booster).score(matrix[:1])
    gc.collect()
    assert one.score(matrix[:1]).tolist() == booster.predict(matrix[:1]).tolist()


def test_booster_answers_where_a_release_keeps_its_library_elsewhere(booster, matrix, monkeypatch):
    quick, slow = GradientBoostingEstimator(booster, ()), GradientBoostingEstimator(booster, ())
    with monkeypatch.context() as patched:
        patched.delattr(lightgbm.basic, "_safe_call")
        assert slow._one_row is None
    assert quick._one_row
    for row in range(5):
        one = matrix[row : row + 1]
        assert quick.score(one).tobytes() == slow.score(one).tobytes() == booster.predict(one).tobytes()


def test_row_of_another_width_is_refused_and_not_read_past(booster, matrix):
    estimator = GradientBoostingEstimator(booster, ())
    with pytest.raises(lightgbm.basic.LightGBMError, match="number of features"):
        estimator.score(matrix[:1, :3])
