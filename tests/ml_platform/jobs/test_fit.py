from __future__ import annotations

import json
from pathlib import Path

import pytest
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

from ml_platform.engine.drift import DriftRules, measure
from ml_platform.engine.package import digest, read_card, read_json
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import DeclarationError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.testing import training_set

EVERYWHERE = {"importance", "learning_curve", "permutation_importance"}
PLOTS = {
    "binary": EVERYWHERE | {"roc", "precision_recall", "calibration", "confusion"},
    "multiclass": EVERYWHERE | {"roc", "precision_recall", "calibration", "confusion"},
    "regression": EVERYWHERE | {"residuals"},
}
BOOSTED = {"estimator": "gradient_boosting", "parameters": {"num_leaves": 7}, "baseline": "linear", "threads": 2}


@pytest.fixture(scope="module")
def pin(tmp_path_factory):
    return training_set.write(tmp_path_factory.mktemp("training_set"))


def fitted(folder: Path, pin: dict[str, object], **changes: object) -> Path:
    folder.mkdir()
    fit(JobOrder(training_set.fit_arguments(pin, **changes), {}), folder)
    return folder


@pytest.fixture(scope="module")
def package(pin, tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("fit") / "package", pin, **BOOSTED, context={"asset": "models/late"})


@pytest.fixture(scope="module")
def test_rows():
    return training_set.rows().slice(4000)


def test_package_holds_its_files_and_no_pickle(package):
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert files == {
        "model.json",
        "model_card.md",
        "order.json",
        "booster.txt",
        "metrics.json",
        "slices.json",
        "baseline.json",
        "input_example.json",
        *(f"plots/{name}.png" for name in PLOTS["binary"]),
    }


def test_metrics_are_those_of_the_saved_model(package, test_rows):
    label = test_rows.column("late").to_numpy()
    scores = Scorer.load(package).predict(training_set.columns(test_rows))
    metrics = read_json(package / "metrics.json")
    assert metrics["test"]["roc_auc"] == pytest.approx(roc_auc_score(label, scores))
    assert metrics["test"]["log_loss"] == pytest.approx(log_loss(label, scores))
    assert metrics.keys() == {"train", "validate", "test", "baseline"}
    assert metrics["baseline"].keys() == {"train", "validate", "test"}


def test_model_finds_the_signal_that_was_put_there(package, test_rows):
    best = roc_auc_score(test_rows.column("late").to_numpy(), test_rows.column("chance").to_numpy())
    assert read_json(package / "metrics.json")["test"]["roc_auc"] > best - 0.02


def test_card_says_what_was_fitted_on_what(package):
    card = read_card(package)
    assert (card.estimator, card.label, card.seed) == ("gradient_boosting", "late", 1)
    assert card.parameters["num_leaves"] == 7
    assert card.context == {"asset": "models/late"}
    assert {name: split["rows"] for name, split in card.splits.items()} == training_set.SPLIT_ROWS
    assert card.versions.keys() == {"python", "lightgbm", "numpy", "scikit-learn"}


def test_baseline_statistics_find_the_training_rows_steady(package):
    baseline = read_json(package / "baseline.json")
    columns = training_set.columns(training_set.rows().slice(0, 3000))
    assert baseline["rows"] == 3000
    for feature, statistics in baseline["features"].items():
        drift = measure(feature, statistics, columns[feature], DriftRules())
        assert (drift.psi, drift.state, drift.null_share) == (0, "steady", drift.baseline_null_share)
    assert sum(baseline["score"]["shares"]) == pytest.approx(1)


def test_input_example_scores(package):
    example = read_json(package / "input_example.json")
    assert list(Scorer.load(package).predict(example)) == pytest.approx(
        list(Scorer.load(package).predict(training_set.columns(training_set.rows().slice(0, 5))))
    )


def test_same_inputs_give_the_same_bytes(package, pin, tmp_path):
    again = fitted(tmp_path / "again", pin, **BOOSTED, context={"asset": "models/late"})
    assert (again / "booster.txt").read_bytes() == (package / "booster.txt").read_bytes()
    assert digest(again) == digest(package)


@pytest.mark.parametrize("estimator", ["linear", "baseline"])
def test_every_estimator_fits_the_same_bytes_twice(pin, tmp_path, estimator):
    one, two = (fitted(tmp_path / name, pin, estimator=estimator) for name in ("one", "two"))
    assert digest(one) == digest(two)
    assert (one / "plots" / "importance.png").exists() is (estimator == "linear")


def test_events_are_logs_progress_and_metrics(pin, tmp_path, capsys):
    fitted(tmp_path / "package", pin, **BOOSTED)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["kind"] for event in said} == {"log", "progress", "metric"}
    metrics = read_json(tmp_path / "package" / "metrics.json")
    assert {event["text"]: event["value"] for event in said}["test/brier"] == metrics["test"]["brier"]


def test_what_cannot_be_fitted_is_refused_with_what_could(pin, tmp_path):
    for changes, message in {
        "task": "task is ranking, but no such task is fitted. Tasks are binary, multiclass, regression",
        "estimator": "estimator is ranking",
        "baseline": "estimator is ranking",
    }.items():
        with pytest.raises(DeclarationError, match=message):
            fitted(tmp_path / changes, pin, **{changes: "ranking"})
    with pytest.raises(DeclarationError, match="parameter leaves is 7"):
        fitted(tmp_path / "parameters", pin, parameters={"leaves": 7})


@pytest.fixture(scope="module", params=["multiclass", "regression"])
def other(request, pin, tmp_path_factory):
    """A boosted package of another task, told by slices, and the task."""
    task = request.param
    parameters = {"num_leaves": 7, "rounds": 40}
    changes = {**BOOSTED, "parameters": parameters, "label": training_set.LABELS[task], "slices": ["hour", "kind"]}
    return fitted(tmp_path_factory.mktemp("other") / task, pin, task=task, **changes), task


def test_every_task_is_fitted_measured_and_scored_alike(other, test_rows):
    package, task = other
    card = read_card(package)
    score = Scorer.load(package).predict(training_set.columns(test_rows))
    label = test_rows.column(card.label).to_pylist()
    metrics = read_json(package / "metrics.json")["test"]
    if task == "regression":
        assert metrics["rmse"] == pytest.approx(root_mean_squared_error(label, score))
        assert metrics["r2"] > 0.75
        return
    assert card.classes == ("early", "late", "on time")
    assert score.sum(axis=1) == pytest.approx([1.0] * len(label))
    assert metrics["log_loss"] == pytest.approx(log_loss(label, score, labels=card.classes))
    assert metrics["accuracy"] > 0.7
    assert card.splits["train"]["rate"].keys() == set(card.classes)


def test_every_task_has_its_plots_slices_and_card(other):
    package, task = other
    assert {path.stem for path in (package / "plots").glob("*.png")} == PLOTS[task] | {"slices"}
    slices = read_json(package / "slices.json")
    assert {row["value"] for row in slices if row["column"] == "kind"} == {"early", "late", "on time"}
    assert sum(row["rows"] for row in slices if row["column"] == "hour") == 1000
    text = (package / "model_card.md").read_text()
    assert f"A {task} model by the estimator gradient_boosting." in text
    assert "## Where it is weakest\n\n| slice of the test split | rows |" in text


def test_what_a_multiclass_model_says_is_watched_by_class(other):
    package, task = other
    statistics = read_json(package / "baseline.json")["score"]
    assert statistics["type"] == ("category" if task == "multiclass" else "number")


def test_pre_processing_weights_and_calibration_are_fitted_and_served_together(pin, tmp_path, test_rows):
    # given weights that shift probabilities upwards, and a calibration that mends them
    steps = [
        {"kind": "impute", "features": ["wind"], "settings": {"by": "median", "indicator": True}},
        {"kind": "one_hot", "features": ["carrier"], "settings": {}},
        {"kind": "drop", "features": ["hour"], "settings": {}},
    ]
    weighted = {"preprocessing": steps, "class_weights": {"positive": 5.0}}
    raw = fitted(tmp_path / "raw", pin, **weighted)
    mended = fitted(tmp_path / "mended", pin, **weighted, calibration="sigmoid")
    label = test_rows.column("late").to_numpy()
    said = {
        folder.name: Scorer.load(folder).predict(training_set.columns(test_rows)).mean() for folder in (raw, mended)
    }
    assert said["raw"] > label.mean() + 0.15
    assert said["mended"] == pytest.approx(label.mean(), abs=0.04)
    assert read_json(raw / "weights.json")["terms"].keys() == {
        "wind",
        "wind__missing",
        "carrier=AA",
        "carrier=DL",
        "carrier=UA",
    }
    assert "without calibration, its probabilities are not shares" in (raw / "model_card.md").read_text()


def test_only_the_metrics_that_are_named_are_told(pin, tmp_path):
    package = fitted(tmp_path / "package", pin, metrics=["roc_auc", "f1"])
    assert read_json(package / "metrics.json")["test"].keys() == {"roc_auc", "f1"}
