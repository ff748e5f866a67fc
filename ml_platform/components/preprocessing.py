"""Pre-processing as it is declared with a model: steps, each of one kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ml_platform.records.preprocessing import SHAPES, Step, StepKind

Names = Annotated[tuple[StrictStr, ...], Field(min_length=1)]
Number = StrictInt | StrictFloat
# As they are written: dagster would take a text that looks like a number for one.
Written = Annotated[list[dict[str, Any]], dg.Resolver(lambda _, value: value, model_field_type=list[dict[str, Any]])]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OfFeatures(_Strict):
    features: Names = Field(description="The features that it is done to.")


class Clip(_OfFeatures):
    """What lies beyond a bound is put onto it."""

    low: Number | None = Field(default=None, description="The lower bound.")
    high: Number | None = Field(default=None, description="The upper bound.")
    low_quantile: Number | None = Field(
        default=None, ge=0, le=1, description="The lower bound, by share of train rows."
    )
    high_quantile: Number | None = Field(default=None, ge=0, le=1, description="The upper bound, likewise.")


class Impute(_OfFeatures):
    """A missing number is replaced by one that is learned from the train split, or given."""

    by: Literal["mean", "median"] | StrictInt | StrictFloat = Field(description="mean, median, or a number.")
    indicator: StrictBool = Field(default=False, description="Adds <feature>__missing, 1 where it was missing.")


class Scale(_OfFeatures):
    """A number is moved and stretched."""

    by: Literal["standard", "robust", "range"] = Field(
        default="standard",
        description="standard: mean 0 and deviation 1; robust: by median and quartiles; range: to 0–1.",
    )


class Rare(_OfFeatures):
    """Rare categories, and ones that training never saw, are put together as one of their own."""

    min_rows: StrictInt = Field(ge=1, description="Rows of train from which a category stands alone.")


class Target(_OfFeatures):
    """A category is replaced by the mean label of its train rows; a missing or unknown one by that of all."""

    smoothing: Number = Field(default=20.0, ge=0, description="Rows of the overall mean that each category is given.")


class Ordinal(_OfFeatures):
    """A category is replaced by its place in an order; a missing or unknown one is missing."""

    order: tuple[StrictStr, ...] = Field(default=(), description="The values in order; by the alphabet without it.")


class PreprocessingStep(_Strict):
    """One step, of exactly one kind."""

    drop: Names | None = Field(default=None, description="Features that the model does not see.")
    clip: Clip | None = Field(default=None, description="Bounds of numbers.")
    log: Names | None = Field(default=None, description="Numbers x that become sign(x)·ln(1 + |x|).")
    impute: Impute | None = Field(default=None, description="What a missing number becomes.")
    scale: Scale | None = Field(default=None, description="How numbers are scaled.")
    rare: Rare | None = Field(default=None, description="Categories that are put together, unknown ones with them.")
    one_hot: Names | None = Field(
        default=None, description="Categories that become a number each value; missing and unknown ones are all 0."
    )
    target: Target | None = Field(default=None, description="Categories that become the mean of their labels.")
    ordinal: Ordinal | None = Field(default=None, description="Categories that become their place in an order.")

    @property
    def kinds(self) -> list[StepKind]:
        """The kinds that are set, of which there is to be one."""
        return [kind for kind in SHAPES if getattr(self, kind) is not None]

    @property
    def step(self) -> Step:
        """The step as it travels."""
        kind = self.kinds[0]
        said: Any = getattr(self, kind)
        if isinstance(said, tuple):
            return Step(kind, said)
        settings = said.model_dump(exclude={"features"}, exclude_none=True)
        return Step(kind, said.features, settings)
