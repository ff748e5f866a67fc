from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project

DECLARED = "models/returns/defs.yaml"
BOOSTED = "estimator: gradient_boosting"


def loads(shop: Project, estimator: str, *lines: str, task: str = "binary") -> None:
    """The model, by another estimator, and with more lines below it, which begin in line 8."""
    shop.change(DECLARED, "estimator: linear", "\n  ".join([estimator, *lines]))
    if task != "binary":
        shop.change(DECLARED, "task: binary", f"task: {task}")
        metric = {"regression": "rmse", "multiclass": "log_loss"}[task]
        shop.change(
            DECLARED, "metric: log_loss\n    floors: {roc_auc: 0.5, log_loss: 0.75}", f"floors: {{{metric}: 9}}"
        )
    _ = shop.definitions


@pytest.mark.parametrize(
    ("estimator", "lines", "message"),
    [
        (
            "estimator: linear",
            ["parameters: {C: 0}"],
            "8: parameter C of linear is 0, but that cannot be. It is a number",
        ),
        ("estimator: linear", ["parameters:", "  max_itr: 1"], "9: parameter max_itr is 1, .* Did you mean max_iter?"),
        ("estimator: linear", ["early_stopping: {rounds: 3}"], "8: early_stopping is given, but linear does not learn"),
        (BOOSTED, ["early_stopping: {rounds: 0}"], "8: early_stopping.rounds is 0, but that cannot be"),
        (BOOSTED, ["metrics: [roc_auc, rmse]"], "8: metrics.1 has rmse, but no binary task is measured by it. Metrics"),
        (BOOSTED, ["metrics: [auc]"], "metrics.0 is 'auc', but that cannot be: Input should be 'roc_auc'"),
        (BOOSTED, ["slices: [store, stor]"], "8: slices has 'stor', but the training set has no such .* mean store?"),
        (
            BOOSTED,
            ["class_weights: {late: 2}"],
            "8: class_weights weighs late, but a binary task has two sides. They are",
        ),
        (BOOSTED, ["class_weights: {positive: 0}"], "8: class_weights.positive is 0.0, but it is greater than 0"),
        (
            BOOSTED,
            ["calibration: magic"],
            "calibration is 'magic', but that cannot be: Input should be 'none', 'sigmoid'",
        ),
        (BOOSTED, ["tune: {space: {rounds: [1]}}"], "8: tune has no end, but a search has one. Give trials, seconds"),
        (BOOSTED, ["tune: {trials: 2, space: {}}"], "8: tune.space is empty, but something has to be tried"),
        (
            BOOSTED,
            ["tune: {trials: 2, space: {leaves: [1]}}"],
            "8: tune.space has leaves, but gradient_boosting has none",
        ),
        (BOOSTED, ["tune: {trials: 2, space: {num_leaves: {low: 9, high: 4}}}"], "8: .* from 9 to 4, but low is less"),
        (BOOSTED, ["tune: {trials: 2, space: {lambda_l1: {low: 0, high: 4, log: true}}}"], "8: .* a logarithm is of"),
        (
            BOOSTED,
            ["tune: {trials: 2, space: {num_leaves: {low: 1, high: 4}}}"],
            "8: parameter num_leaves .* is 1, but",
        ),
        (
            BOOSTED,
            ["tune: {trials: 2, space: {rounds: {from: 1}}}"],
            "8: tune.space.rounds is {'from': 1}, but .*It is {low",
        ),
        (BOOSTED, ["automl: {seconds: 9}"], "8: estimator automl and the budget automl go together"),
        ("estimator: automl", [], "7: estimator automl and the budget automl go together"),
        ("estimator: python", [], r"7: estimator is python, but there is no returns\.py beside it. Write it"),
        (
            BOOSTED,
            ["preprocessing: [{scale: {features: [amout]}}]"],
            "8: .* scale of amout, but .* Did you mean amount?",
        ),
        (
            BOOSTED,
            ["preprocessing: [{scale: {features: [store]}}]"],
            "8: .* scale of store, but that is a category. scale",
        ),
        (
            BOOSTED,
            ["preprocessing:", "  - drop: [store]", "  - one_hot: [store]"],
            "10: .* there is no such feature then",
        ),
        (BOOSTED, ["preprocessing: [{clip: {features: [amount]}}]"], "8: preprocessing clips amount, but at no bound"),
        (
            BOOSTED,
            ["preprocessing: [{drop: [store], log: [amount]}]"],
            "8: a step .* of the kinds drop, log, but it is of",
        ),
        (BOOSTED, ["preprocessing: [{dorp: [store]}]"], "8: preprocessing has dorp, .* Did you mean drop?"),
    ],
)
def test_wrong_declaration_is_refused_by_file_and_line(shop: Project, estimator, lines, message):
    with pytest.raises(DeclarationError, match=rf"{DECLARED}:?.*{message}"):
        loads(shop, estimator, *lines)


@pytest.mark.parametrize(
    ("task", "lines", "message"),
    [
        ("regression", ["calibration: sigmoid"], "8: calibration is sigmoid, but a regression has no probabilities"),
        ("regression", ["class_weights: balanced"], "8: class_weights is given, but a regression has no classes"),
        ("regression", ["metrics: [log_loss]"], "8: metrics.0 has log_loss, but no regression task is measured by it"),
        (
            "multiclass",
            ["preprocessing: [{target: {features: [store]}}, {scale: {features: [store]}}]"],
            "8: preprocessing has scale of store, but there is no such feature then",
        ),
    ],
)
def test_what_a_task_does_not_have_is_refused(shop: Project, task, lines, message):
    with pytest.raises(DeclarationError, match=rf"{DECLARED}:{message}"):
        loads(shop, BOOSTED, *lines, task=task)


def test_gate_of_another_task_is_refused(shop: Project):
    shop.change(DECLARED, "task: binary", "task: regression")
    with pytest.raises(DeclarationError, match=r"gate.metric has log_loss, but no regression task is measured by it"):
        _ = shop.definitions


def test_python_model_needs_its_functions(shop: Project):
    shop.write("models/returns/returns.py", '"""A model."""\n\n\ndef fit(train, validate, question):\n    return {}\n')
    with pytest.raises(DeclarationError, match=r"7: estimator is python, but returns\.py has no function predict"):
        loads(shop, "estimator: python")


def test_python_model_that_may_be_given_up_says_how_it_stands(shop: Project):
    text = "def fit(train, validate, question):\n    return {}\n\n\ndef predict(state, x):\n    return x[:, 0]\n"
    tune = ["tune:", "  trials: 3", "  pruning: true", "  space: {depth: {low: 1, high: 9}, kind: [a, b]}"]
    shop.write("models/returns/returns.py", text)
    with pytest.raises(
        DeclarationError, match=r"10: tune.pruning is true, but fit in returns\.py does not take report"
    ):
        loads(shop, "estimator: python", *tune)
    shop.write("models/returns/returns.py", text.replace("question)", "question, report)"))
    assert shop.definitions


def test_what_a_model_can_be_told_loads(shop: Project):
    loads(
        shop,
        BOOSTED,
        "parameters: {num_leaves: 15}",
        "preprocessing:",
        "  - impute: {features: [recent_amount], by: median, indicator: true}",
        "  - ordinal: {features: [store]}",
        "  - scale: {features: [store, amount]}",
        "class_weights: balanced",
        "calibration: isotonic",
        "early_stopping: {rounds: 10, min_delta: 0.0001}",
        "tune: {trials: 3, seconds: 60, pruning: true, space: {learning_rate: {low: 0.01, high: 0.3, log: true}}}",
        "metrics: [roc_auc, log_loss]",
        "slices: [store, amount]",
    )
