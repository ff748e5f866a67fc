from __future__ import annotations

import numpy as np
import pytest

from ml_platform.engine.permutation import MOST_ROWS, permutation_importance


def test_a_feature_is_worth_what_its_loss_rises_by():
    # given values that the first of two columns tells exactly: dealt anew, they are off by twice the variance
    draw = np.random.default_rng(7)
    matrix = draw.normal(size=(1500, 2))
    label = 3 * matrix[:, 0]
    risen = permutation_importance("regression", lambda rows: 3 * rows[:, 0], ["tells", "silent"], matrix, label, 1)
    assert risen["silent"] == 0
    assert risen["tells"] == pytest.approx(2 * 9, rel=0.15)


def test_the_same_seed_deals_alike_and_another_does_not():
    matrix = np.random.default_rng(7).normal(size=(100, 1))
    risen = [
        permutation_importance("regression", lambda rows: rows[:, 0], ["x"], matrix, matrix[:, 0], seed)["x"]
        for seed in (1, 1, 2)
    ]
    assert risen[0] == risen[1] != risen[2]


def test_only_some_rows_of_many_are_scored():
    seen = []

    def score(rows):
        seen.append(len(rows))
        return rows[:, 0]

    matrix = np.zeros((3 * MOST_ROWS, 2))
    permutation_importance("regression", score, ["a", "b"], matrix, matrix[:, 0], 1)
    assert seen == [MOST_ROWS] * 3
