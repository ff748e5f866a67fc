from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project

FLOORS = "floors: {roc_auc: 0.5, log_loss: 0.75}"


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            "slices: {by: [stor], floor: 1}",
            "gate.slices.by has 'stor', but the training set has no such .*Did you mean",
        ),
        ("slices: {floor: 1}", "gate.slices tells rows apart, but it names no column"),
        (
            "slices: {by: [store], floor: 1, metric: rmse}",
            "gate.slices.metric has rmse, but no binary task is measured",
        ),
    ],
)
def test_a_gate_that_does_not_go_with_its_model_is_refused(shop: Project, gate: str, message: str) -> None:
    shop.change("models/returns/defs.yaml", FLOORS, f"{FLOORS}\n    {gate}")
    with pytest.raises(DeclarationError, match=rf"models/returns/defs.yaml:\d+: {message}"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("floors", "message"),
    [
        ("{log_loss: 9, roc_auc: 50}", "10: gate.floors.roc_auc is 50, but no version is ever measured there"),
        ("{accuracy: -0.1}", "10: gate.floors.accuracy is -0.1, but no version"),
        ("{log_loss: .nan}", "10: gate.floors.log_loss is nan, but a number has to be finite"),
    ],
)
def test_a_floor_that_no_version_can_reach_or_miss_is_refused(shop: Project, floors: str, message: str) -> None:
    shop.change("models/returns/defs.yaml", FLOORS, f"floors: {floors}")
    with pytest.raises(DeclarationError, match=rf"models/returns/defs.yaml:{message}"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("task", "floors", "calibration", "message"),
    [
        ("regression", "{rmse: 1}", "{max_error: 0.1}", "max_error is given, but a regression has no probabilities"),
        ("multiclass", "{accuracy: 0.5}", "{slope: {min: 0.8}}", "bounds a line, but that of several classes"),
    ],
)
def test_a_calibration_that_the_task_does_not_have_is_refused(
    shop: Project, task: str, floors: str, calibration: str, message: str
) -> None:
    shop.change("models/returns/defs.yaml", "task: binary", f"task: {task}")
    shop.change("models/returns/defs.yaml", "metric: log_loss", "split: test")
    shop.change("models/returns/defs.yaml", FLOORS, f"floors: {floors}\n    calibration: {calibration}")
    with pytest.raises(DeclarationError, match=rf"models/returns/defs.yaml:\d+: gate.calibration.*{message}"):
        _ = shop.definitions
