"""The gate as it is declared with a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field

from ml_platform.records.metric import Metric, Task, loss_of

if TYPE_CHECKING:
    from ml_platform.engine.gate import GateRules


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
        default=0.0, ge=0, description="By how much the candidate has to be better in the metric; 0 is strictly better."
    )

    def rules(self, task: Task) -> GateRules:
        """The rules as the engine decides by them."""
        from ml_platform.engine.gate import GateRules

        floors = {str(name): floor for name, floor in self.floors.items()}
        return GateRules(self.metric or loss_of(task), floors, self.minimum_effect)
