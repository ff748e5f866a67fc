"""The asset beside a monitor that decides about retraining: a record of every decision, with its reasons."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from ml_platform import monitor_metadata
from ml_platform.components.asset import asset, digest, key_of
from ml_platform.components.domain import domain_of
from ml_platform.components.model import CHAMPION
from ml_platform.records.retraining import Decision, Policy
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.watching import INCIDENT, RETRAINS, retrain_is_running

if TYPE_CHECKING:
    from ml_platform.engine.monitoring import Monitoring


@dataclass(frozen=True)
class Retrained:
    """What is learned anew: asset keys of the model and of its training set, and when."""

    model: str
    training_set: str
    policy: Policy


def asset_of(
    context: dg.ComponentLoadContext, of: Retrained, monitoring: "Callable[[], Monitoring]"
) -> dg.AssetsDefinition:
    """The asset `…__retraining`: its table has a row a decision, and its check fails for an incident.

    It asks for nothing itself: the sensor `retraining` makes the run that the last decision asks for.
    """
    key, mode = key_of(context), domain_of(context.path).clock
    retrained = [of.training_set, of.model, f"{of.model}__{CHAMPION}"]

    @asset(
        context,
        description=f"Whether {of.model} is learned anew, and why: every decision by what {key} found.",
        deps=[key, f"{of.model}__{CHAMPION}"],
        code=digest(of),
        kinds={"deltalake"},
        suffix="__retraining",
        metadata={RETRAINS: {"model": of.model, "assets": retrained}},
        of_model=of.model,
        checks={INCIDENT: "Nothing was found that people have to look at before a model is learned anew."},
    )
    def decide(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        compute: dg.ResourceParam[Compute],
        model_registry: dg.ResourceParam[ModelRegistry],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg] # beside a check, dagster knows only the bare type
        import time

        from ml_platform.engine import asking, clock, decisions
        from ml_platform.engine.champion import champion_of
        from ml_platform.engine.monitoring import standing_findings
        from ml_platform.engine.retraining import decide

        started, now = time.monotonic(), clock.now(lakehouse, mode)
        champion = champion_of(of.model, model_registry)
        newest = model_registry.versions(champion.name)[-1]
        found, read = standing_findings(key, lakehouse)
        running = retrain_is_running(context.instance, of.model)

        def decided(so_far: tuple[Decision, ...]) -> Decision:
            known = asking.evidence(
                of.policy,
                found,
                so_far,
                champion.number,
                newest,
                monitoring().watched,
                now,
                lakehouse,
                compute,
                running=running,
            )
            return decide(of.policy, known, len(so_far) + 1)

        last, snapshot, commit = decisions.record(lakehouse.table(f"{key}__retraining"), decided)
        every = decisions.decided(snapshot.location)
        return monitor_metadata.of_decision(
            last, every, snapshot, commit, read, time.monotonic() - started, f"{key}__retraining"
        )

    return decide
