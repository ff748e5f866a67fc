from __future__ import annotations

import subprocess
import sys

import pytest

from ml_platform.engine.estimators import ESTIMATORS, completed, estimator_named
from ml_platform.engine.estimators.parameters import PARAMETERS
from ml_platform.errors import DeclarationError


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_name_has_its_estimator(name):
    assert estimator_named(name).__module__ == f"ml_platform.engine.estimators.{name}"


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(DeclarationError, match="Did you mean linear"):
        estimator_named("liner")


def test_declared_parameters_stand_over_the_defaults():
    parameters = completed("gradient_boosting", {"num_leaves": 7, "learning_rate": 1})
    assert (parameters["num_leaves"], parameters["learning_rate"]) == (7, 1)
    assert parameters.keys() == PARAMETERS["gradient_boosting"].keys()


def test_unknown_parameter_is_refused_with_those_allowed():
    with pytest.raises(DeclarationError, match=r"parameter leaves is 7, but .* Known are .*num_leaves"):
        completed("gradient_boosting", {"leaves": 7})
    with pytest.raises(DeclarationError, match="It takes none"):
        completed("baseline", {"rate": 0.5})


@pytest.mark.parametrize("value", [7.5, "7", True, None])
def test_parameter_of_the_wrong_kind_is_refused(value):
    with pytest.raises(
        DeclarationError,
        match=r"num_leaves .*, but that cannot be. It is a whole number from 2 to 131072, and 63 where",
    ):
        completed("gradient_boosting", {"num_leaves": value})


def test_names_load_without_any_library():
    program = (
        "import sys, ml_platform.engine.estimators\n"
        "assert not {'numpy', 'lightgbm', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
