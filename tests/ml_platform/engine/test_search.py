from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lessons import binary
from sklearn.metrics import log_loss

from ml_platform.engine.estimators.parameters import PARAMETERS
from ml_platform.engine.learning import Learning
from ml_platform.engine.search import AUTOML, Found, Limits, Search
from ml_platform.errors import PlatformError

C = {"linear": {"C": {"low": 1e-4, "high": 10.0, "log": True}}}
BOOSTED = {"gradient_boosting": {"num_leaves": [3, 7], "learning_rate": {"low": 0.05, "high": 0.5, "log": True}}}


@pytest.fixture(scope="module")
def learning() -> Learning:
    draw = np.random.default_rng(10)
    matrix = draw.normal(size=(600, 2))
    label = (draw.random(600) < 1 / (1 + np.exp(-2 * matrix[:, 0]))).astype(float)
    return binary(matrix, label, 400)


def search(
    learning: Learning,
    spaces: Any,
    trials: int | None = None,
    seconds: float | None = None,
    state: Path | None = None,
    fixed: dict[str, Any] | None = None,
    pruning: bool = False,
    say: Callable[[str, float], None] = lambda *_: None,
    **more: Any,
) -> Found:
    limits = Limits(trials, seconds, "log_loss", pruning)
    return Search(learning, spaces, fixed or {}, limits, state, say, **more).run()


def plain(found: Found) -> tuple[object, ...]:
    return found.estimator, dict(found.parameters), list(found.trials)


class Clock:
    """A clock on which every look takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def test_the_best_of_what_was_tried_is_kept(learning):
    found = search(learning, C, trials=6)
    values = [trial["value"] for trial in found.trials]
    best = found.trials[values.index(min(values))]
    assert found.parameters == {"max_iter": 300, **best["parameters"]}
    matrix, label = learning.validate
    assert min(values) == pytest.approx(log_loss(label, found.model.score(matrix)))


def test_defaults_are_tried_first_and_what_is_fixed_stays(learning):
    found = search(learning, C, trials=2, fixed={"max_iter": 7})
    assert found.trials[0]["parameters"] == {"C": PARAMETERS["linear"]["C"].default}
    assert found.parameters["max_iter"] == 7


def test_every_value_is_of_the_space(learning):
    found = search(learning, BOOSTED, trials=5, fixed={"rounds": 5, "min_data_in_leaf": 5})
    for trial in found.trials:
        assert trial["parameters"]["num_leaves"] in (3, 7)
        assert 0.05 <= trial["parameters"]["learning_rate"] <= 0.5


def test_search_that_was_killed_finds_what_it_would_have_found(learning, tmp_path):
    wanted = search(learning, C, trials=12)

    def killed(text: str, _: float) -> None:
        if text.startswith("trial 5"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(learning, C, trials=12, state=tmp_path / "state", say=killed)
    found = search(learning, C, trials=12, state=tmp_path / "state")
    assert plain(found) == plain(wanted)
    matrix, _ = learning.validate
    assert (found.model.score(matrix) == wanted.model.score(matrix)).all()


def test_time_that_was_spent_before_a_kill_counts(learning, tmp_path):
    # given a clock by which a fit takes ten seconds, of sixty
    told: dict[str, list[str]] = {"first": [], "again": []}
    small = {"rounds": 10, "min_data_in_leaf": 5, "early_stopping_rounds": 0}
    for run, said in told.items():
        more = {"state": tmp_path, "now": Clock(), "say": lambda text, _, said=said: said.append(text)}
        assert search(learning, BOOSTED, seconds=60, fixed=small, **more).trials, run
    assert len(told["again"]) < len(told["first"])


def test_a_budget_of_seconds_ends_the_fit_that_is_under_way(learning):
    # given a clock by which the first fit ends in time and the second does not
    clock = Clock()
    small = {"rounds": 10, "min_data_in_leaf": 5, "early_stopping_rounds": 0}
    found = search(learning, BOOSTED, seconds=40, fixed=small, now=clock)
    assert clock.seconds < 40 + 10
    assert found.model.estimator.booster.num_trees() <= 10


def test_a_fit_that_the_clock_ended_is_what_its_parameters_say(learning):
    small = {"rounds": 100, "min_data_in_leaf": 5}
    found = search(learning, BOOSTED, seconds=12, fixed=small, now=Clock())
    assert 0 < found.model.estimator.booster.num_trees() == found.parameters["rounds"] < 100
    matrix, _ = learning.validate
    again = learning.fitted(found.estimator, found.parameters)
    assert (again.score(matrix) == found.model.score(matrix)).all()


def test_automl_tries_every_estimator_and_what_it_finds_is_one_of_ours(learning):
    found = search(learning, AUTOML, trials=4)
    assert {trial["estimator"] for trial in found.trials[:2]} == {"linear", "gradient_boosting"}
    assert found.parameters.keys() == PARAMETERS[found.estimator].keys()


def test_a_fit_that_the_clock_cannot_end_is_begun_only_while_there_is_time_for_it(learning):
    # given a clock that stands at three fifths of the time once the first fit has ended
    small = {"gradient_boosting": {"num_leaves": [3, 7]}, "linear": AUTOML["linear"]}
    told: list[str] = []
    times = iter([0.0] * 4 + [60.0] * 200 + [100.0] * 1000)
    fixed: dict[str, Any] = {}
    search(learning, small, seconds=100, fixed=fixed, now=lambda: next(times), say=lambda text, _: told.append(text))
    assert told
    assert not [text for text in told if "linear" in text]


def test_trials_that_stand_worse_than_most_are_given_up(learning):
    space = {"gradient_boosting": {"learning_rate": [0.3, 0.001], "num_leaves": [3, 7, 15, 31]}}
    fixed = {"rounds": 40, "min_data_in_leaf": 5, "early_stopping_rounds": 0}
    found = search(learning, space, trials=14, fixed=fixed, pruning=True)
    given_up = [trial["parameters"]["learning_rate"] for trial in found.trials if trial["value"] is None]
    assert 0.001 in given_up
    assert found.parameters["learning_rate"] == 0.3


WRITTEN = """\
def fit(train, validate, question, report):
    level = question.parameters["level"]
    for step in (1, 2, 3):
        report(step, {"train": 1.0, "validate": abs(level - 7) + 1 / step})
    return {"said": validate.y.mean() + 0.01 * abs(level - 7)}


def predict(state, x):
    return x[:, 0] * 0 + state["said"]
"""


def test_a_python_model_is_searched_over_parameters_of_its_own_and_given_up_by_what_it_reports(learning):
    written = replace(learning, source=WRITTEN)
    space = {"python": {"level": {"low": 1, "high": 9}}}
    found = search(written, space, trials=20, pruning=True, fixed={"more": "kept"})
    assert plain(search(written, space, trials=20, pruning=True, fixed={"more": "kept"})) == plain(found)
    assert found.parameters == {"more": "kept", "level": 7}
    assert all(isinstance(trial["parameters"]["level"], int) for trial in found.trials)
    assert any(trial["value"] is None for trial in found.trials)
    assert (found.curve.steps, found.curve.validate) == ([1, 2, 3], [1.0, 0.5, pytest.approx(1 / 3)])


def test_every_trial_is_told_with_the_share_that_is_spent(learning):
    told = []
    search(learning, C, trials=2, say=lambda *said: told.append(said))
    assert [share for _, share in told] == [0.5, 1.0]
    assert told[0][0].startswith("trial 1: linear, log_loss 0.")


def test_search_of_which_nothing_comes_is_an_error(learning):
    blind = replace(learning, validate=(learning.validate[0], np.full(200, np.nan)))
    with pytest.raises(PlatformError, match="tried nothing that came to an end"):
        search(blind, C, trials=2)
