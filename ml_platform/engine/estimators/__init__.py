"""The estimators that a model can be declared with, each imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from ml_platform.engine.estimators.parameters import completed
from ml_platform.errors import DeclarationError, nearest

if TYPE_CHECKING:
    from ml_platform.engine.estimators.contract import Estimator

ESTIMATORS: Mapping[str, str] = {
    "baseline": "BaselineEstimator",
    "gradient_boosting": "GradientBoostingEstimator",
    "linear": "LinearEstimator",
    "python": "PythonEstimator",
}


def estimator_named(name: str) -> type[Estimator]:
    """The estimator's class. Raises DeclarationError for a name that is none."""
    if name not in ESTIMATORS:
        raise DeclarationError(
            f"estimator is {name}, but there is none of that name", allowed=nearest(name, ESTIMATORS)
        )
    module = importlib.import_module(f"{__name__}.{name}")
    return cast("type[Estimator]", getattr(module, ESTIMATORS[name]))


__all__ = ["ESTIMATORS", "completed", "estimator_named"]
