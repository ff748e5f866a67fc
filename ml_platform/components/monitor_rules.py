"""What one may write about a monitor: thresholds, quality, volume, and when a model is to be learned anew."""

from __future__ import annotations

from typing import Annotated, Literal

import dagster as dg
from pydantic import Field

from ml_platform.records import monitor, retraining

# In a union the bounds stand on the number: dagster would hold null against them.
Limit = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class Thresholds(dg.Resolvable, dg.Model):
    """From where on a feature counts as drifted: each of the first three marks a move by half a standard deviation."""

    psi: Limit | None = Field(default=0.25, description="Population stability index against the baseline; null: never.")
    ks: Share | None = Field(default=0.2, description="Kolmogorov-Smirnov distance, of numbers; null: never.")
    jensen_shannon: Share | None = Field(default=0.2, description="Jensen-Shannon distance, in bits; null: never.")
    null_share: Share | None = Field(default=0.1, description="Rise of the share of missing values; null: never.")
    new_categories: Share | None = Field(
        default=0.05, description="Share of rows whose category the baseline has not; null: never."
    )

    @property
    def record(self) -> monitor.Thresholds:
        """The thresholds as the engine takes them."""
        return monitor.Thresholds(**self.model_dump())


class Quality(dg.Resolvable, dg.Model):
    """What the answers are worth once labels have come, and from where on that counts as decayed."""

    limits: dict[str, float] = Field(
        default={}, description="Metric → worst value that is allowed; the champion's own, decayed, of the others."
    )
    decay: float = Field(
        default=0.1, gt=0, le=1, description="How much worse than on the test split is allowed, as a share."
    )
    minimum_labels: int = Field(default=500, ge=2, description="Labelled rows below which a window says nothing.")
    within_hours: float = Field(default=168, ge=0, description="Hours after its event by which a label has come.")
    labelled_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of events that old below which labels count as missing."
    )

    @property
    def record(self) -> monitor.QualityRules:
        """The rules as the engine takes them."""
        return monitor.QualityRules(**self.model_dump())


class Volume(dg.Resolvable, dg.Model):
    """How many rows a window has, as shares of the median of the windows before."""

    least: float = Field(default=0.5, ge=0, le=1, description="The smallest share that is allowed.")
    most: float = Field(default=2.0, ge=1, description="The largest share that is allowed.")


class Retrain(dg.Resolvable, dg.Model):
    """When the model is learned anew; broken input never asks for it."""

    when: list[Literal["drift", "prediction_drift", "quality"]] = Field(
        default=["drift", "quality"], min_length=1, description="What asks for it."
    )
    minimum_new_labels: int = Field(
        default=1000,
        ge=1,
        description="Labels that came and no version learned from, below which nothing is asked for.",
    )
    cooldown_hours: float = Field(default=168, ge=0, description="Hours between one request and the next.")
    per_month: int = Field(default=2, ge=0, description="Requests in one calendar month, UTC, at most.")

    @property
    def record(self) -> retraining.Policy:
        """The policy as the engine takes it."""
        return retraining.Policy(tuple(self.when), self.minimum_new_labels, self.cooldown_hours, self.per_month)
