from __future__ import annotations

import dataclasses

import pytest

from ml_platform.engine.estimators.python import PythonEstimator
from ml_platform.errors import DeclarationError, PlatformError

SOURCE = '''\
import numpy as np


def fit(train, validate, question):
    """The mean wind of late rows, and the rate on either side of it."""
    wind = np.nan_to_num(train.x[:, 0])
    cut = question.parameters["share"] * wind[train.y == 1].mean()
    return {"cut": cut, "rates": np.array([train.y[wind <= cut].mean(), train.y[wind > cut].mean()])}


def predict(state, x):
    return state["rates"][(np.nan_to_num(x[:, 0]) > state["cut"]).astype(int)]
'''


@pytest.fixture
def given(task):
    return lambda source=SOURCE: dataclasses.replace(task("python", share=1.0), source=source)


def test_model_is_what_its_functions_say_and_comes_back_as_text(given, splits, tmp_path):
    fitted = PythonEstimator.fit(given())
    matrix, label = splits.of["test"]
    scores = fitted.score(matrix)
    assert scores[label == 1].mean() > scores[label == 0].mean() + 0.1
    fitted.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.py", "state.json"}
    assert (PythonEstimator.load(tmp_path, splits.features).score(matrix) == scores).all()


def test_state_that_is_no_text_is_refused_with_what_may_be(given):
    source = SOURCE.replace('"cut": cut', '"cut": cut, "model": question')
    with pytest.raises(
        DeclarationError, match=r"state.model that fit returned is a Question, .* kept as text. Numbers"
    ):
        PythonEstimator.fit(given(source))


def test_state_that_is_not_finite_is_refused(given):
    with pytest.raises(DeclarationError, match=r"state.cut that fit returned is nan, but a model is finite"):
        PythonEstimator.fit(given(SOURCE.replace('"cut": cut', '"cut": np.nan')))


def test_answer_of_another_shape_is_an_error(given):
    functions = SOURCE.replace("def predict(state, x):", "def predict(state, x):\n    x = x[:1]")
    with pytest.raises(PlatformError, match=r"predict gave an array of shape \(1,\) for 100 rows"):
        PythonEstimator.fit(given(functions))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("np.full((len(x), 2), 0.5)", r"predict gave an array of shape \(100, 2\) for 100 rows of a binary task, but"),
        ("x[:, 0] * np.nan", r"predict gave nan, but that is no probability"),
        ("np.full(len(x), 1.5)", r"predict gave 1\.5, but that is no probability"),
    ],
)
def test_answers_that_are_not_the_task_s_are_refused_when_it_is_fitted(given, answer, said):
    functions = SOURCE.partition("def predict")[0] + f"def predict(state, x):\n    return {answer}\n"
    with pytest.raises(DeclarationError, match=said):
        PythonEstimator.fit(given(functions))


STEPS = """\
def fit(train, validate, question, report):
    for step in (1, 2):
        report(step, {"train": 0.5 / step, "validate": 0.75 / step}, share=step / 2)
    return {}


def predict(state, x):
    return [0.5] * len(x)
"""


def test_a_function_that_reports_tells_its_curve_and_how_far_it_is(given):
    learned, told = [], []
    task = dataclasses.replace(
        given(STEPS), learned=lambda *step: learned.append(step), progress=lambda *said: told.append(said)
    )
    PythonEstimator.fit(task)
    assert learned == [(1, 0.5, 0.75), (2, 0.25, 0.375)]
    assert told == [
        ("step 1: 0.50000 on train, 0.75000 on validate", 0.5),
        ("step 2: 0.25000 on train, 0.37500 on validate", 1.0),
    ]


def test_a_step_that_is_not_told_by_both_losses_is_refused(given):
    with pytest.raises(DeclarationError, match=r"report was told loss at step 1, but .* They are train and validate"):
        PythonEstimator.fit(given(STEPS.replace('{"train": 0.5 / step, "validate": 0.75 / step}', '{"loss": 1.0}')))


def test_text_without_a_function_is_refused(given):
    with pytest.raises(
        DeclarationError, match=r"model.py has no function predict, but a Python model is fit and predict"
    ):
        PythonEstimator.fit(given(SOURCE.replace("def predict", "def foretell")))


def test_package_without_its_text_is_an_error(tmp_path):
    with pytest.raises(PlatformError, match=r"its model\.py is needed and missing"):
        PythonEstimator.load(tmp_path, ())
