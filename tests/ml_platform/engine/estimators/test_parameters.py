from __future__ import annotations

import lightgbm
import pytest

from ml_platform.engine.estimators.parameters import PARAMETERS, Parameter, completed
from ml_platform.errors import DeclarationError


def test_bounds_are_allowed_themselves_and_whole_is_whole():
    share = Parameter(0.5, 0, 1)
    assert [share.takes(value) for value in (0, 1, 0.3, 1.1, "1", True)] == [True, True, True, False, False, False]
    assert [Parameter(3, 1).takes(value) for value in (1, 2.0, 0)] == [True, False, False]


def test_what_is_allowed_is_told():
    assert Parameter(0.5, 0, 1).allowed == "It is a number from 0 to 1"
    assert Parameter(3, 1).allowed == "It is a whole number, 1 or more"


def test_value_out_of_range_is_refused_with_the_range():
    with pytest.raises(
        DeclarationError, match=r"learning_rate .* is 2, but that cannot be. It is a number from 1e-12 to"
    ):
        completed("gradient_boosting", {"learning_rate": 2})


def test_a_python_model_takes_what_its_function_takes():
    assert completed("python", {"kind": "deep", "depth": 3}) == {"kind": "deep", "depth": 3}


def test_every_parameter_of_boosting_is_lightgbms_but_for_when_it_ends(task):
    given = task("gradient_boosting", rounds=1)
    ours = {"rounds", "early_stopping_rounds", "early_stopping_min_delta"}
    data = lightgbm.Dataset(*given.train)
    theirs = {name: value for name, value in given.parameters.items() if name not in ours}
    booster = lightgbm.train({**theirs, "objective": "binary", "verbosity": -1}, data, num_boost_round=1)
    text = booster.model_to_string()
    assert all(f"[{name}: " in text for name in PARAMETERS["gradient_boosting"].keys() - ours)
