"""The rollout as it is declared with an endpoint: steps, soak and guards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ml_platform import endpoint_metadata
from ml_platform.components.lines import line_of
from ml_platform.engine.rollout import Guards, Plan
from ml_platform.errors import DeclarationError

if TYPE_CHECKING:
    from ml_platform.engine.rolling import RolledOut

ROLLOUT = "rollout"
HOLDS = "The champion serves, or is on its way to, and no guard has sent the endpoint back from it."


class Attempt(dg.Config):
    """What a run of an endpoint may be told."""

    retry: bool = Field(default=False, description="Whether a version that went back is tried again.")


class Parity(dg.Resolvable, dg.Model):
    """Rows that are scored offline and through the endpoint before any traffic moves."""

    rows: int = Field(default=200, ge=0, description="How many, of logged requests or the evaluation split; 0 is none.")
    tolerance: float = Field(default=1e-6, gt=0, description="How far the two answers to a row may be apart.")


class DeclaredGuards(dg.Resolvable, dg.Model):
    """From where on a version goes back; one that is left out is not looked at, but for parity."""

    error_share: float | None = Field(default=None, ge=0, lt=1, description="Share of its answers that are errors.")
    latency_p99_ms: float | None = Field(
        default=None, gt=0, description="What 99 of 100 of its answers take at the most, inside the server."
    )
    prediction_drift: float | None = Field(
        default=None, gt=0, description="Population stability index of its predictions against the champion's."
    )
    minimum_requests: int = Field(
        default=100, ge=1, description="Answers of either side below which it waits and concludes nothing."
    )
    parity: Parity = Field(default=Parity(), description="What is compared before any traffic moves.")


class Rollout(dg.Resolvable, dg.Model):
    """How a new champion comes to serve; all at once, after parity, where nothing is declared."""

    steps: list[float] = Field(
        default=[1.0], min_length=1, description="Its shares of the traffic, ascending; the last is 1.0."
    )
    soak_minutes: float = Field(default=0.0, ge=0, description="How long each step is watched before the next.")
    shadow: bool = Field(default=False, description="Whether it answers copies of the traffic before it gets any.")
    guards: DeclaredGuards = Field(default=DeclaredGuards(), description="From where on it goes back.")

    def plan(self) -> Plan:
        """The plan as the engine goes by it."""
        parity = self.guards.parity
        named = self.guards.model_dump(exclude={"parity"})
        guards = Guards(**named, parity_rows=parity.rows, parity_tolerance=parity.tolerance)
        return Plan(tuple(self.steps), self.soak_minutes, self.shadow, guards)

    def require(self, context: dg.ComponentLoadContext) -> None:
        """Returns where the steps can be taken; else raises DeclarationError by file and line."""
        ascend = all(first < second for first, second in zip(self.steps, self.steps[1:], strict=False))
        if not ascend or self.steps[0] <= 0 or self.steps[-1] != 1.0:
            raise DeclarationError(
                f"{line_of(context, 'rollout', 'steps')}: rollout.steps is {self.steps}, but traffic only ever grows",
                allowed="Shares above 0 that ascend to 1.0, for instance [0.05, 0.5, 1.0]",
            )

    def asked(self, context: dg.ComponentLoadContext) -> dict[str, Any]:
        """What the asset tells of itself: the plan, for the sensor, and where it asks for what not every host does."""
        plan = self.plan()
        places = {name: line_of(context, "rollout", name) for name in ("steps", "shadow")}
        guards = {name: getattr(plan.guards, name) for name in plan.guards.__dataclass_fields__}
        told = {"steps": list(plan.steps), "soak_minutes": plan.soak_minutes, "shadow": plan.shadow, "guards": guards}
        return {ROLLOUT: {**told, "places": places}}


def plan_of(told: dict[str, Any]) -> Plan:
    """The plan that an asset tells of itself."""
    return Plan(tuple(told["steps"]), told["soak_minutes"], told["shadow"], Guards(**told["guards"]))


def check(done: RolledOut) -> dg.AssetCheckResult:
    """Failed where a version went back; nothing is blocked by it, for what stood before serves."""
    state = done.state
    failed = state.stage == "rolled back"
    said = " ".join(state.reasons) or " ".join(found.said for found in done.found) or "Nothing is on its way."
    return dg.AssetCheckResult(
        passed=not failed,
        check_name=ROLLOUT,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Version {state.target.version} went back. {said}" if failed else said,
        metadata=endpoint_metadata.of_findings(done.found),
    )
