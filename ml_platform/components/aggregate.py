"""A windowed aggregate, as it is declared: what a feature tells of the rows of the last so many hours."""

from __future__ import annotations

from typing import Self

import dagster as dg
from pydantic import Field, model_validator

from ml_platform.engine.aggregates import Aggregate, Function
from ml_platform.records.model import FeatureType


class DeclaredAggregate(dg.Resolvable, dg.Model):
    """A function of one column over a window that ends with the moment of the question."""

    function: Function = Field(description="What is told of the rows in the window; stddev is of a sample.")
    of: str | None = Field(
        default=None,
        description="The column of the query that it is told of, without its NULLs; only a count may lack it.",
    )
    over_hours: int = Field(
        ge=1, le=90 * 24, description="How far back the window reaches by event time, both of its ends included."
    )
    decimals: int = Field(
        default=6, ge=0, le=9, description="The decimals that a value is taken to in a sum, a mean or a stddev."
    )
    type: FeatureType = Field(default="number", description="Category where min, max or last is of a text.")

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        if self.of is None and self.function != "count":
            raise ValueError(f"a {self.function} is of a column, and rows alone can only be counted")
        if self.type == "category" and self.function not in ("min", "max", "last"):
            raise ValueError(f"a {self.function} is a number")
        return self

    @property
    def record(self) -> Aggregate:
        """The aggregate as the engine takes it."""
        return Aggregate(self.function, self.over_hours, self.of, self.decimals)
