"""The hyper-parameters of every estimator: defaults and ranges, known without any library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_platform.errors import DeclarationError, nearest


@dataclass(frozen=True)
class Parameter:
    """One number that an estimator can be given: whole where its default is; the bounds are allowed themselves."""

    default: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.default, int)

    @property
    def allowed(self) -> str:
        """What may be written, in a sentence."""
        kind = "a whole number" if self.whole else "a number"
        if math.isinf(self.high):
            return f"It is {kind}, {self.low:g} or more"
        return f"It is {kind} from {self.low:g} to {self.high:g}"

    def takes(self, value: Any) -> bool:
        """Whether the value may be written."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        return self.low <= value <= self.high


_TINY = 1e-12
PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    "baseline": {},
    # C: inverse of the penalty's strength. max_iter: of the optimiser.
    "linear": {"C": Parameter(1.0, _TINY), "max_iter": Parameter(300, 1)},
    # For hundreds of thousands of rows; categories are smoothed hard, or rare ones are learned by heart.
    "gradient_boosting": {
        "rounds": Parameter(400, 1),
        "early_stopping_rounds": Parameter(30, 0),
        "early_stopping_min_delta": Parameter(0.0, 0),
        "learning_rate": Parameter(0.08, _TINY, 1),
        "num_leaves": Parameter(63, 2, 131072),
        "max_depth": Parameter(-1, -1),
        "max_bin": Parameter(255, 2),
        "min_data_in_leaf": Parameter(200, 0),
        "min_sum_hessian_in_leaf": Parameter(1e-3, 0),
        "min_gain_to_split": Parameter(0.0, 0),
        "feature_fraction": Parameter(0.8, _TINY, 1),
        "bagging_fraction": Parameter(0.8, _TINY, 1),
        "bagging_freq": Parameter(1, 0),
        "lambda_l1": Parameter(0.0, 0),
        "lambda_l2": Parameter(1.0, 0),
        "path_smooth": Parameter(0.0, 0),
        "cat_smooth": Parameter(50.0, 0),
        "cat_l2": Parameter(30.0, 0),
        "max_cat_threshold": Parameter(32, 1),
        "min_data_per_group": Parameter(100, 1),
    },
}


def completed(name: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    """The declared parameters over the estimator's defaults; `python` takes what its function takes.

    Raises DeclarationError for a parameter that the estimator does not have, or a value that it cannot have.
    """
    if name not in PARAMETERS:
        return dict(declared)
    known = PARAMETERS[name]
    for key, value in declared.items():
        if key not in known:
            raise DeclarationError(
                f"parameter {key} is {value!r}, but {name} has none of that name",
                allowed=nearest(key, known) or "It takes none",
            )
        if not known[key].takes(value):
            raise DeclarationError(
                f"parameter {key} of {name} is {value!r}, but that cannot be",
                allowed=f"{known[key].allowed}, and {known[key].default} where it is left out",
            )
    return {**{key: parameter.default for key, parameter in known.items()}, **declared}
