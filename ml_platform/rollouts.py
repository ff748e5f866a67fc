"""Rollouts: the sensor that takes the next step of each, and whether their hosts can do what is declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from ml_platform.binding import Binding, build, environment, players, service_class
from ml_platform.components.rollout import ROLLOUT, plan_of
from ml_platform.engine.hosting import CAPABILITIES, FINE_SHARES, IDLE, SHADOW, cannot
from ml_platform.errors import DeclarationError
from ml_platform.tick import Tick
from ml_platform.watching import ENVIRONMENT

_EVERY_MINUTE = 60
_ASK_AGAIN_MINUTES = 10
_TAG = "ml_platform/rollout"
_ON_THE_WAY = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]


def require_hosted(specs: Sequence[dg.AssetSpec], services: Mapping[str, Binding]) -> None:
    """Returns where the endpoint host does what every rollout asks for.

    Raises DeclarationError, by file and line, for the first that it does not.
    """
    host = services["endpoint_host"]
    lacks = cannot(service_class(host))
    for spec in _rolled(specs):
        told = spec.metadata[ROLLOUT]
        fine = [share for share in told["steps"] if abs(share * 100 - round(share * 100)) > 1e-9]
        asked = {
            SHADOW: ("shadow", told["shadow"]),
            IDLE: ("steps", told["shadow"] or len(told["steps"]) > 1),
            FINE_SHARES: ("steps", bool(fine)),
        }
        for capability, (field, wanted) in asked.items():
            if wanted and capability in lacks:
                able = [one for one in players("endpoint_host") if capability not in cannot(_of(host, one))]
                raise DeclarationError(
                    f"{told['places'][field]}: rollout.{field} is {told[field]}, but the endpoint_host is "
                    f"{host.service}, which does not have {CAPABILITIES[capability]}",
                    allowed=f"What would work: endpoint_host.service: {', '.join(able)}" if able else "",
                    remedy="Take steps of whole percents" if capability == FINE_SHARES else "Leave it out",
                )


def rollouts(specs: Sequence[dg.AssetSpec], services: Mapping[str, Binding]) -> dg.Definitions:
    """The job `rollout` and the sensor `rollouts`, which asks it for every step that is due; nothing without endpoints.

    A step is a run of the endpoint's asset, and a soak is the time between two of them.
    """
    endpoints = _rolled(specs)
    if not endpoints:
        return dg.Definitions()
    job = dg.define_asset_job(ROLLOUT, dg.AssetSelection.assets(*(spec.key for spec in endpoints)))

    @dg.sensor(job=job, minimum_interval_seconds=_EVERY_MINUTE, name="rollouts")
    def sensor(context: dg.SensorEvaluationContext):  # type: ignore[no-untyped-def] # dagster reads annotations
        """Asks for the next look at every rollout that is on its way: at its soak's end, and a few times before."""
        from ml_platform.engine import clock

        lakehouse = build(services["lakehouse"])
        now = clock.now(lakehouse, "real")
        asked, tick = [], Tick(context)
        for spec in endpoints:
            with tick.part(spec.key.to_user_string()):
                request = None if _runs(context.instance, spec) else _next(spec, lakehouse, now)
                asked += [request] if request else []
        return tick.ended(asked, "no rollout has a step that is due")

    return dg.Definitions(jobs=[job], sensors=[sensor])


def _next(spec: dg.AssetSpec, lakehouse: Any, now: datetime) -> dg.RunRequest | None:
    """The run that looks at the endpoint's rollout, where it is time to.

    It has the same key until somebody looked, so that it is asked for once; where its run died, again ten minutes on.
    Dagster makes one run of a key, ever, and may serve several environments: the moment tells their entries apart, and
    those of an endpoint that was made anew.
    """
    from ml_platform.engine.rollout import due
    from ml_platform.engine.rollout_log import RolloutLog

    key = spec.key.to_user_string()
    entry = RolloutLog(lakehouse.table(f"{key}__{ROLLOUT}")).last()
    if entry is None or entry.at is None:
        return None
    when = due(plan_of(spec.metadata[ROLLOUT]), entry.state, entry.at)
    if when is None or now < when:
        return None
    again = int((now - when).total_seconds() // 60) // _ASK_AGAIN_MINUTES
    run_key = f"{environment()} {key} {entry.sequence} {entry.at.isoformat()} {again}"
    return dg.RunRequest(asset_selection=[spec.key], run_key=run_key, tags=_tags(spec))


def _runs(instance: dg.DagsterInstance, spec: dg.AssetSpec) -> bool:
    """Whether a run that was asked for is still on its way."""
    mine = dg.RunsFilter(tags=_tags(spec), statuses=_ON_THE_WAY)
    return instance.get_runs_count(mine) > 0


def _tags(spec: dg.AssetSpec) -> dict[str, str]:
    return {_TAG: spec.key.path[-1], ENVIRONMENT: environment()}


def _rolled(specs: Sequence[dg.AssetSpec]) -> list[dg.AssetSpec]:
    return [spec for spec in specs if ROLLOUT in spec.metadata]


def _of(host: Binding, service: str) -> type[Any]:
    return service_class(Binding(host.role, service, {}))
