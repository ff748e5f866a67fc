"""The estimators that a model can be declared with, each imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ml_platform.errors import DeclarationError, nearest

if TYPE_CHECKING:
    from ml_platform.engine.estimators.contract import Estimator

ESTIMATORS: Mapping[str, str] = {
    "baseline": "BaselineEstimator",
    "gradient_boosting": "GradientBoostingEstimator",
    "linear": "LinearEstimator",
}


def estimator_named(name: str) -> type[Estimator]:
    """The estimator's class. Raises DeclarationError for a name that is none."""
    if name not in ESTIMATORS:
        raise DeclarationError(
            f"estimator is {name}, but there is none of that name", allowed=nearest(name, ESTIMATORS)
        )
    module = importlib.import_module(f"{__name__}.{name}")
    return cast("type[Estimator]", getattr(module, ESTIMATORS[name]))


def completed(name: str, declared: Mapping[str, Any]) -> dict[str, float]:
    """The declared parameters over the estimator's defaults.

    Raises DeclarationError for a parameter that the estimator does not have, or a value that is not its kind of number.
    """
    defaults = estimator_named(name).defaults
    for key, value in declared.items():
        if key not in defaults:
            known = nearest(key, defaults) or "It takes none"
            raise DeclarationError(f"parameter {key} is {value!r}, but {name} has none of that name", allowed=known)
        whole = isinstance(defaults[key], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            kind = "a whole number" if whole else "a number"
            raise DeclarationError(
                f"parameter {key} of {name} is {value!r}, but it is {kind}", allowed=f"Its default is {defaults[key]}"
            )
    return {**defaults, **declared}
