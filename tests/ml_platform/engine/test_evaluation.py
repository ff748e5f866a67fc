from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from ml_platform.engine import evaluation
from ml_platform.engine.evaluation import aligned, evaluate, loss_per_row, measure, places_in
from ml_platform.records.metric import HIGHER_IS_BETTER, METRICS

LABEL = {"binary": [0, 1, 1], "multiclass": [0, 2, 1], "regression": [1.0, 3.0, 2.0]}
SCORE = {
    "binary": [0.2, 0.7, 0.4],
    "multiclass": [[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]],
    "regression": [1.5, 2.0, 2.0],
}


@pytest.mark.parametrize("task", METRICS)
def test_every_metric_of_a_task_is_measured_and_has_a_direction(task):
    measured = evaluate(task, np.array(LABEL[task], dtype=float), np.array(SCORE[task]))
    assert measured.keys() == {*METRICS[task]}
    assert measured.keys() <= HIGHER_IS_BETTER.keys()


@pytest.mark.parametrize("task", METRICS)
def test_a_metric_alone_is_what_it_is_among_all(task):
    label, score = np.array(LABEL[task], dtype=float), np.array(SCORE[task])
    assert {name: measure(task, name, label, score) for name in METRICS[task]} == evaluate(task, label, score)
    assert math.isnan(measure(task, METRICS[task][0], label[:0], score[:0]))


def test_only_what_is_named_is_told():
    label, score = np.array([0.0, 1.0]), np.array([0.4, 0.6])
    assert evaluate("binary", label, score, ["roc_auc", "f1"]) == {"roc_auc": 1, "f1": 1}


@pytest.mark.parametrize("task", METRICS)
def test_a_score_that_is_no_number_leaves_no_metric_known(task):
    score = np.array(SCORE[task])
    score[0] = np.nan
    measured = evaluate(task, np.array(LABEL[task], dtype=float), score)
    assert measured.keys() == {*METRICS[task]}
    assert all(math.isnan(value) for value in measured.values())


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_loss_per_row_is_what_log_loss_is_the_mean_of(task):
    label, score = np.array(LABEL[task], dtype=float), np.array(SCORE[task])
    assert loss_per_row(task, label, score).mean() == pytest.approx(evaluate(task, label, score)["log_loss"])


def test_places_are_those_of_the_classes_and_others_have_none():
    assert np.array_equal(places_in(["b", 5.0, None, "c"], ("5", "b")), [1, 0, np.nan, np.nan], equal_nan=True)


def test_a_class_that_a_model_does_not_know_has_no_probability():
    assert aligned(np.array([[0.3, 0.7]]), ("a", "c"), ("a", "b", "c")).tolist() == [[0.3, 0.0, 0.7]]


def test_worked_example_of_the_docstring_holds():
    assert doctest.testmod(evaluation) == (0, 1)
