from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lessons import binary
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ml_platform.engine.learning import Learning
from ml_platform.errors import DeclarationError
from ml_platform.records.preprocessing import Step

LINEAR = {"C": 1.0, "max_iter": 300}


@pytest.fixture(scope="module")
def learning() -> Learning:
    draw = np.random.default_rng(8)
    matrix = draw.normal(size=(1200, 2))
    label = (draw.random(1200) < 1 / (1 + np.exp(2 - 2 * matrix[:, 0]))).astype(float)
    return binary(matrix, label, 800)


def test_balanced_classes_weigh_as_in_scikit_learn(learning):
    fitted = replace(learning, class_weights="balanced").fitted("linear", LINEAR)
    reference = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")).fit(*learning.train)
    matrix, _ = learning.validate
    assert fitted.score(matrix) == pytest.approx(reference.predict_proba(matrix)[:, 1], abs=1e-4)


def test_sides_weigh_what_is_declared(learning):
    fitted = replace(learning, class_weights={"positive": 3.0}).fitted("linear", LINEAR)
    reference = make_pipeline(StandardScaler(), LogisticRegression(class_weight={1: 3.0})).fit(*learning.train)
    matrix, _ = learning.validate
    assert fitted.score(matrix) == pytest.approx(reference.predict_proba(matrix)[:, 1], abs=1e-4)


def test_class_that_is_not_there_weighs_nothing_and_is_refused(learning):
    with pytest.raises(DeclarationError, match=r"class_weights weighs late, but there is no such class\. Known are"):
        replace(learning, class_weights={"late": 3.0}).fitted("linear", LINEAR)


def test_steps_are_done_before_the_fit_and_before_every_score(learning):
    dropped = replace(learning, steps=(Step("drop", ("silent",)),)).fitted("linear", LINEAR)
    matrix, _ = learning.validate
    other = matrix.copy()
    other[:, 1] = 100
    assert (dropped.score(matrix) == dropped.score(other)).all()


def test_nothing_can_be_learned_when_every_feature_is_dropped(learning):
    with pytest.raises(DeclarationError, match="preprocessing drops every feature"):
        replace(learning, steps=(Step("drop", ("silent", "tells")),)).fitted("linear", LINEAR)


def test_losses_are_those_of_both_splits(learning):
    fitted = learning.fitted("linear", LINEAR)
    expected = [log_loss(label, fitted.score(matrix)) for matrix, label in (learning.train, learning.validate)]
    assert learning.losses(fitted) == pytest.approx(expected)


def test_some_rows_are_spread_over_all(learning):
    some = learning.of_rows(5)
    assert (some.train[0] == learning.train[0][[0, 199, 399, 599, 799]]).all()
    assert some.validate is learning.validate
