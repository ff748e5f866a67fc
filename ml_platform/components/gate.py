"""The gate as it is declared with a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

import dagster as dg
from pydantic import Field, model_validator

from ml_platform.automation import BY_HAND
from ml_platform.records.metric import Metric, Task, loss_of

if TYPE_CHECKING:
    from ml_platform.engine.gate import GateRules, SliceRule

Limit = tuple[float | None, float | None]


class Bounds(dg.Resolvable, dg.Model):
    """Between what a number has to be."""

    min: float | None = Field(default=None, description="The least that passes; no bound without it.")
    max: float | None = Field(default=None, description="The most that passes; no bound without it.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("there is neither min nor max, so that anything would pass")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is more than max, so that nothing would pass")
        return self


class SliceFloor(dg.Resolvable, dg.Model):
    """What a version has to keep on every slice of the rows, however good it is on the whole."""

    by: list[str] = Field(
        default=[], description="Columns of the training set by whose values rows are told apart; the model's slices."
    )
    metric: Metric | None = Field(default=None, description="What is measured on each; the gate's metric without it.")
    floor: float = Field(
        description="The worst that the worse end of the metric's interval may be on any slice; the intervals of all "
        "slices hold at once (Bonferroni)."
    )
    min_rows: int = Field(
        default=200, ge=30, description="A slice with fewer rows is judged together with its column's other small ones."
    )

    def rule(self, metric: str, columns: Sequence[str]) -> SliceRule:
        """The rule as the engine decides by it. metric, columns: where it names none."""
        from ml_platform.engine.gate import SliceRule

        return SliceRule(tuple(self.by or columns), self.metric or metric, self.floor, self.min_rows)


class CalibrationBounds(dg.Resolvable, dg.Model):
    """How far what a version says may be from what happens."""

    max_error: float | None = Field(default=None, gt=0, description="The most expected calibration error, in 0–1.")
    slope: Bounds | None = Field(
        default=None,
        description="What happens over what is said, in log-odds for a binary task; below 1 it is too sure of itself.",
    )
    intercept: Bounds | None = Field(
        default=None, description="Of the same with a slope of 1: above 0 it says too little on the whole."
    )

    @property
    def limits(self) -> dict[str, Limit]:
        """As the engine decides by them."""
        from ml_platform.engine.calibration_line import INTERCEPT, SLOPE

        lines = {SLOPE: self.slope, INTERCEPT: self.intercept}
        error: dict[str, Limit] = {"expected_calibration_error": (None, self.max_error)} if self.max_error else {}
        return error | {name: (bounds.min, bounds.max) for name, bounds in lines.items() if bounds}


class LatencyBounds(dg.Resolvable, dg.Model):
    """How long a version may take for one row, from its values to its score, in the job that scores it again."""

    max_median_ms: float | None = Field(default=None, gt=0, description="The most for half of the calls.")
    max_p99_ms: float | None = Field(default=None, gt=0, description="The most for 99 in 100 calls.")

    @property
    def limits(self) -> dict[str, Limit]:
        """As the engine decides by them."""
        from ml_platform.engine.gate import MEDIAN, P99

        named = {MEDIAN: self.max_median_ms, P99: self.max_p99_ms}
        return {name: (None, most) for name, most in named.items() if most is not None}


class Gate(dg.Resolvable, dg.Model):
    """What a model version has to pass to become champion; both are scored on the same pinned rows."""

    split: Literal["validate", "test"] = Field(default="test", description="The split that versions are scored on.")
    metric: Metric | None = Field(
        default=None,
        description="The metric in which a candidate has to beat the champion; the task's loss without it.",
    )
    floors: dict[Metric, float] = Field(
        min_length=1, description="Metric → the least that is good enough; the most, where lower is better."
    )
    minimum_effect: float = Field(
        default=0.0,
        ge=0,
        description="By how much the candidate has to be better in the metric, at the lower end of the interval; 0 is "
        "strictly better.",
    )
    confidence: float = Field(
        default=0.95, ge=0.5, lt=1, description="Of the paired bootstrap interval of the improvement, and of slices."
    )
    slices: SliceFloor | None = Field(default=None, description="What has to be kept on every slice of the rows.")
    calibration: CalibrationBounds | None = Field(default=None, description="How true what it says has to be.")
    latency: LatencyBounds | None = Field(default=None, description="How long one row may take.")
    max_size_mib: float | None = Field(default=None, gt=0, description="The most MiB of the package's files.")
    promote: Literal["automatic", "manual"] = Field(
        default="automatic",
        description="manual: only who materializes the champion by name, and nothing but champions, promotes; "
        "automation and jobs leave it out, and in a run of more the gate examines and moves nothing.",
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        for name in ("calibration", "latency"):
            part = getattr(self, name)
            if part is not None and not any(part.model_dump().values()):
                raise ValueError(f"{name} has no bound, so that anything would pass")
        return self

    @property
    def tags(self) -> dict[str, str]:
        """Of the champion, by which jobs and selections leave it out where a person promotes."""
        return BY_HAND if self.promote == "manual" else {}

    def withheld(self, context: dg.AssetExecutionContext) -> str:
        """Why a run promotes nothing, in a sentence; empty where it may.

        A selection such as `*` reaches a champion that nobody has named. What a run makes is in its job, whoever began
        it; the context's own selection is of this asset only.
        """
        own = context.asset_key
        _, _, suffix = own.path[-1].rpartition("__")
        made = context.job_def.asset_layer.selected_asset_keys
        if self.promote == "automatic" or all(key.path[-1].endswith(f"__{suffix}") for key in made):
            return ""
        return (
            f"Withheld: it is promoted by hand, and this run makes more than champions. Materialize "
            f"{own.to_user_string()} and nothing beside it to promote."
        )

    def rules(self, task: Task, slices: Sequence[str], seed: int) -> GateRules:
        """The rules as the engine decides by them. slices: the model's columns. seed: of the resampling."""
        from ml_platform.engine.gate import SIZE, GateRules

        metric = self.metric or loss_of(task)
        size: dict[str, Limit] = {SIZE: (None, self.max_size_mib)} if self.max_size_mib else {}
        parts = [part.limits for part in (self.calibration, self.latency) if part is not None]
        return GateRules(
            metric=metric,
            floors={str(name): floor for name, floor in self.floors.items()},
            minimum_effect=self.minimum_effect,
            confidence=self.confidence,
            seed=seed,
            slices=self.slices.rule(metric, slices) if self.slices else None,
            limits={name: limit for part in [*parts, size] for name, limit in part.items()},
        )
