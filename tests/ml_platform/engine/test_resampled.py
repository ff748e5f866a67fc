from __future__ import annotations

import doctest
import sys

import numpy as np
import pytest

from ml_platform.engine.evaluation import evaluate
from ml_platform.engine.resampled import improvement, resampled
from ml_platform.records.metric import METRICS

DRAW = np.random.default_rng(5)
COUNT = 80
SHARES = DRAW.dirichlet([1, 1, 1], size=COUNT)
# Scores with ties, for ranks have to count them by halves.
GIVEN = {
    "binary": (DRAW.integers(0, 2, COUNT).astype(float), DRAW.integers(1, 20, COUNT) / 20),
    "multiclass": (DRAW.integers(0, 3, COUNT).astype(float), SHARES),
    "regression": (DRAW.normal(size=COUNT), DRAW.normal(size=COUNT)),
}
EVERY = [(task, metric) for task, metrics in METRICS.items() for metric in metrics]


@pytest.mark.parametrize(("task", "metric"), EVERY)
def test_every_metric_of_drawn_rows_is_the_metric_of_a_table_of_them(task, metric):
    label, score = GIVEN[task]
    rows = np.random.default_rng(1).integers(0, COUNT, COUNT)
    assert resampled(task, metric, label, score)(rows) == pytest.approx(
        evaluate(task, label[rows], score[rows])[metric], abs=1e-12
    )


@pytest.mark.parametrize(("task", "metric"), EVERY)
def test_a_score_that_is_not_known_leaves_every_metric_unknown(task, metric):
    label, score = GIVEN[task]
    holed = score.copy()
    holed[4] = np.nan
    assert np.isnan(resampled(task, metric, label, holed)(np.arange(COUNT)))


def test_one_class_alone_has_no_ranks():
    assert np.isnan(resampled("binary", "roc_auc", np.ones(3), np.array([0.1, 0.2, 0.3]))(np.arange(3)))


@pytest.mark.parametrize(("metric", "sign"), [("log_loss", 1), ("roc_auc", 1)])
def test_what_is_better_has_improved_whichever_way_the_metric_goes(metric, sign):
    label = np.array([0.0, 0.0, 1.0, 1.0])
    good, bad = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.4, 0.6, 0.5, 0.7])
    assert sign * improvement("binary", metric, label, good, bad)(np.arange(4)) > 0
    assert sign * improvement("binary", metric, label, bad, good)(np.arange(4)) < 0
    assert improvement("binary", metric, label, good, good)(np.array([0, 0, 3, 2])) == 0


def test_worked_example_holds():
    assert doctest.testmod(sys.modules[resampled.__module__]).failed == 0
