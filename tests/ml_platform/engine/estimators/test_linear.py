from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ml_platform.engine.estimators.linear import LinearEstimator


def test_scores_are_those_of_the_same_pipeline_in_scikit_learn(task, splits):
    # given scikit-learn's own imputing, scaling and encoding (its scaler then sees the imputed values, so a column
    # without gaps is compared: with gaps the scales differ by design)
    matrix, label = splits.of["train"]
    whole = ~np.isnan(matrix).any(axis=1)
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encoder = OneHotEncoder(handle_unknown="ignore")
    reference = make_pipeline(
        make_column_transformer((numbers, [0, 1]), (encoder, [2])), LogisticRegression(max_iter=300)
    ).fit(matrix[whole], label[whole])
    given = task("linear")
    fitted = LinearEstimator.fit(type(given)(**{**vars(given), "train": (matrix[whole], label[whole])}))
    test = splits.of["test"][0]
    test = test[~np.isnan(test).any(axis=1)]
    assert fitted.score(test) == pytest.approx(reference.predict_proba(test)[:, 1], abs=1e-4)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_tasks_score_as_the_same_pipeline_in_scikit_learn(task, splits, kind):
    given = task("linear", task=kind)
    matrix, label = given.train
    whole = ~np.isnan(matrix).any(axis=1)
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((numbers, [0, 1]), (OneHotEncoder(handle_unknown="ignore"), [2]))
    model = Ridge(alpha=1.0) if kind == "regression" else LogisticRegression(max_iter=300)
    reference = make_pipeline(columns, model).fit(matrix[whole], label[whole])
    fitted = LinearEstimator.fit(dataclasses.replace(given, train=(matrix[whole], label[whole])))
    test = splits.of["test"][0]
    test = test[~np.isnan(test).any(axis=1)]
    expected = reference.predict(test) if kind == "regression" else reference.predict_proba(test)
    assert fitted.score(test) == pytest.approx(expected, abs=1e-3)


def test_rows_weigh_as_in_scikit_learn(task):
    given = task("linear")
    matrix, label = given.train
    whole = ~np.isnan(matrix[:, 0])
    weight = np.where(label == 1, 4.0, 1.0)[whole]
    some = (matrix[whole, :1], label[whole])
    fitted = LinearEstimator.fit(
        dataclasses.replace(given, features=given.features[:1], train=some, weights=(weight, None))
    )
    reference = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    reference.fit(*some, logisticregression__sample_weight=weight)
    assert fitted.score(some[0]) == pytest.approx(reference.predict_proba(some[0])[:, 1], abs=1e-4)


def test_two_classes_score_as_the_binary_task(task, splits):
    given = task("linear")
    two = LinearEstimator.fit(dataclasses.replace(given, task="multiclass", classes=2))
    one = LinearEstimator.fit(given)
    matrix, _ = splits.of["test"]
    assert two.score(matrix)[:, 1] == pytest.approx(one.score(matrix))


def test_signal_is_found_as_well_as_the_truth_allows(task, splits):
    fitted = LinearEstimator.fit(task("linear"))
    matrix, label = splits.of["test"]
    best = roc_auc_score(label, splits.chance["test"])
    assert roc_auc_score(label, fitted.score(matrix)) == pytest.approx(best, abs=0.01)
    assert fitted.terms["wind"]["weight"] / fitted.terms["wind"]["scale"] == pytest.approx(1.2, abs=0.15)
    weights = fitted.terms["carrier"]["weights"]
    assert weights["UA"] - weights["AA"] == pytest.approx(2.0, abs=0.3)


def test_missing_number_counts_as_its_mean_and_missing_category_as_none(task, splits):
    fitted = LinearEstimator.fit(task("linear"))
    mean = fitted.terms["wind"]["mean"]
    missing, at_mean = fitted.score(np.array([[np.nan, 9.0, 1.0], [mean, 9.0, 1.0]]))
    assert missing == pytest.approx(at_mean)
    hour = fitted.terms["hour"]
    odds = fitted.intercept + (9.0 - hour["mean"]) / hour["scale"] * hour["weight"]
    assert fitted.score(np.array([[mean, 9.0, np.nan]])) == pytest.approx([1 / (1 + np.exp(-odds))])


def test_saved_weights_score_the_same(task, splits, tmp_path):
    fitted = LinearEstimator.fit(task("linear"))
    fitted.save(tmp_path)
    matrix, _ = splits.of["test"]
    again = LinearEstimator.load(tmp_path, splits.features)
    assert (again.score(matrix) == fitted.score(matrix)).all()
    assert again.importance() == fitted.importance()


def test_importance_follows_the_signal(task):
    importance = LinearEstimator.fit(task("linear")).importance()
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["wind"] > importance["carrier"] > importance["hour"]


def test_constant_and_empty_columns_do_no_harm(task, splits):
    matrix, label = splits.of["train"]
    dull = matrix.copy()
    dull[:, 0], dull[:, 1] = np.nan, 7.0
    given = task("linear")
    fitted = LinearEstimator.fit(type(given)(**{**vars(given), "train": (dull, label)}))
    assert np.isfinite(fitted.score(matrix)).all()
