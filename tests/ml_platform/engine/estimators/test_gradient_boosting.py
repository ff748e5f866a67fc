from __future__ import annotations

import builtins
import dataclasses
import sys

import lightgbm
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

from ml_platform.engine.estimators.gradient_boosting import GradientBoostingEstimator
from ml_platform.errors import PlatformError

QUICK = {"num_leaves": 7, "min_data_in_leaf": 50}


@pytest.fixture
def fitted(task) -> GradientBoostingEstimator:
    return GradientBoostingEstimator.fit(task("gradient_boosting", **QUICK))


def test_signal_is_found_as_well_as_by_scikit_learns_boosting(fitted, splits):
    matrix, label = splits.of["test"]
    reference = HistGradientBoostingClassifier(
        learning_rate=0.08, max_leaf_nodes=7, max_iter=60, categorical_features=[2], random_state=1
    ).fit(*splits.of["train"])
    theirs = reference.predict_proba(matrix)[:, 1]
    ours = fitted.score(matrix)
    assert roc_auc_score(label, ours) >= roc_auc_score(label, theirs) - 0.005
    assert log_loss(label, ours) <= log_loss(label, theirs) + 0.005
    assert roc_auc_score(label, ours) >= roc_auc_score(label, splits.chance["test"]) - 0.02


def test_boosting_stops_when_the_validate_split_gains_no_more(task, fitted, splits):
    assert 10 < fitted.booster.num_trees() < 400
    matrix, label = splits.of["validate"]
    longer = GradientBoostingEstimator.fit(task("gradient_boosting", **QUICK, early_stopping_rounds=400))
    assert log_loss(label, fitted.score(matrix)) <= log_loss(label, longer.score(matrix)) + 0.002


def test_same_task_gives_the_same_bytes_and_another_seed_does_not(task, fitted, tmp_path):
    for name, estimator in {
        "first": fitted,
        "again": GradientBoostingEstimator.fit(task("gradient_boosting", **QUICK)),
        "other": GradientBoostingEstimator.fit(task("gradient_boosting", seed=2, **QUICK)),
    }.items():
        (tmp_path / name).mkdir()
        estimator.save(tmp_path / name)
    first, again, other = ((tmp_path / name / "booster.txt").read_bytes() for name in ("first", "again", "other"))
    assert first == again
    assert first != other


def test_saved_trees_score_the_same_for_one_row_and_for_many(fitted, splits, tmp_path):
    fitted.save(tmp_path)
    again = GradientBoostingEstimator.load(tmp_path, splits.features)
    matrix, _ = splits.of["test"]
    many = fitted.score(matrix)
    assert (again.score(matrix) == many).all()
    assert np.concatenate([again.score(matrix[row : row + 1]) for row in range(50)]).tolist() == many[:50].tolist()


def test_importance_follows_the_signal(fitted):
    importance = fitted.importance()
    assert sum(importance.values()) == pytest.approx(1)
    assert importance["wind"] > importance["carrier"] > importance["hour"]


def test_progress_is_told_while_boosting(task):
    told = []
    given = dataclasses.replace(task("gradient_boosting", **QUICK), progress=lambda *said: told.append(said))
    GradientBoostingEstimator.fit(given)
    assert told[0][0].startswith("round 25 of at most 400, validate loss 0.")
    assert told[-1][1] == 1.0


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_tasks_find_the_signal_as_well_as_scikit_learn(task, splits, kind):
    # given few features, of which a tree is not to miss one
    given = task("gradient_boosting", task=kind, **QUICK, feature_fraction=1.0)
    fitted = GradientBoostingEstimator.fit(given)
    theirs = HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier
    reference = theirs(learning_rate=0.08, max_leaf_nodes=7, max_iter=60, categorical_features=[2], random_state=1).fit(
        *given.train
    )
    matrix, label = splits.of["test"][0], splits.labels[kind][splits.split == "test"]
    if kind == "regression":
        ours, best = (
            root_mean_squared_error(label, said) for said in (fitted.score(matrix), reference.predict(matrix))
        )
        assert ours <= best * 1.02
    else:
        ours, best = (log_loss(label, said) for said in (fitted.score(matrix), reference.predict_proba(matrix)))
        assert ours <= best + 0.01


def test_every_round_tells_what_was_learned_and_what_it_raises_ends_the_fit(task):
    told = []
    given = task("gradient_boosting", **QUICK, rounds=5)
    GradientBoostingEstimator.fit(dataclasses.replace(given, learned=lambda *said: told.append(said)))
    assert [step for step, _, _ in told] == [1, 2, 3, 4, 5]
    assert told[-1][1] < told[0][1]

    def enough(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GradientBoostingEstimator.fit(dataclasses.replace(given, learned=enough))


def test_fit_whose_time_is_up_keeps_the_best_of_what_it_has(task):
    asked = iter([False] * 9 + [True])
    given = dataclasses.replace(task("gradient_boosting", **QUICK), over=lambda: next(asked))
    assert GradientBoostingEstimator.fit(given).booster.num_trees() == 10


def test_without_early_stopping_every_round_is_kept(task):
    given = task("gradient_boosting", **QUICK, rounds=60, learning_rate=0.9, early_stopping_rounds=0)
    assert GradientBoostingEstimator.fit(given).booster.num_trees() == 60


def test_damaged_trees_are_an_error(tmp_path):
    (tmp_path / "booster.txt").write_text("tree\nnonsense")
    with pytest.raises(PlatformError, match=r"booster\.txt is not readable, but must be LightGBM's text"):
        GradientBoostingEstimator.load(tmp_path, ())


def test_machine_without_openmp_is_told_what_to_install(tmp_path, monkeypatch):
    genuine = builtins.__import__

    def without_openmp(name, *rest):
        if name == "lightgbm":
            raise OSError("libgomp.so.1: cannot open shared object file: No such file or directory")
        return genuine(name, *rest)

    monkeypatch.delitem(sys.modules, lightgbm.__name__)
    monkeypatch.setattr(builtins, "__import__", without_openmp)
    with pytest.raises(PlatformError, match="apt-get install libgomp1"):
        GradientBoostingEstimator.load(tmp_path, ())
