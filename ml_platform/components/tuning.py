"""What is tried before a model is fitted, as it is declared: the search of `tune` and of `automl`."""

from __future__ import annotations

from typing import Annotated, Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from ml_platform.records.metric import Metric

Number = StrictInt | StrictFloat
# As it is written: a range is a mapping and a choice a list.
Space = Annotated[
    dict[str, Any], dg.Resolver(lambda _, value: value, model_field_type=dict[str, dict[str, Any] | list[Any]])
]


class SearchRange(BaseModel):
    """The numbers that a parameter is tried from; whole ones where the parameter is whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: Number = Field(description="The least.")
    high: Number = Field(description="The greatest.")
    log: StrictBool = Field(default=False, description="Whether ratios count, and not differences.")


class Budget(dg.Resolvable, dg.Model):
    """How much is tried, at least one of both; a search by trials alone is repeatable, one by seconds is not."""

    trials: int | None = Field(default=None, ge=1, description="Fits that are tried.")
    seconds: float | None = Field(
        default=None, gt=0, description="Seconds that are tried for; a fit that is under way then is ended."
    )
    metric: Metric | None = Field(
        default=None, description="The metric on the validate split that decides; the loss of the task without it."
    )
    pruning: bool = Field(
        default=False, description="Whether a fit whose rounds are worse than those of most before it is given up."
    )


class Tune(Budget):
    """A search for the estimator's parameters."""

    space: Space = Field(description="Parameter → {low, high, log} or a list of values; all others stay as declared.")


class EarlyStopping(dg.Resolvable, dg.Model):
    """When boosting ends before its last round."""

    rounds: int = Field(default=30, ge=1, description="Rounds without a better loss on validate.")
    min_delta: float = Field(default=0.0, ge=0, description="By how much a loss has to be lower to be better.")
