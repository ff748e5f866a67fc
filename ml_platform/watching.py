"""Watching: the sensors that act on what was found: one asks for retrains, one tells people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.automation import by_hand
from ml_platform.binding import Binding, build, environment
from ml_platform.errors import DeclarationError
from ml_platform.tick import Tick

if TYPE_CHECKING:
    from ml_platform.records.retraining import Decision

RETRAINS = "retrains"
"""Metadata of an asset whose table decides about retraining: the `model`, and the `assets` that a retrain makes."""
RETRAIN_OF = "ml_platform/retrain"
"""The tag of a run that learns a model anew; its value is the model's asset key."""
ENVIRONMENT = "ml_platform/environment"
"""The tag of a run that a sensor asked for: an instance may hold the runs of several environments."""
INCIDENT = "incident"
TELL = "tell"
"""Metadata of a materialization: a sentence that people are told."""

_EVERY_MINUTE = 60
_UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def watching(specs: Sequence[dg.AssetSpec], services: Mapping[str, Binding]) -> dg.Definitions:
    """The sensor `telling`, and where a monitor declares `retrain` the sensor `retraining` with the job it asks for.

    A retrain makes the candidate and leaves its gate to a person where that is who promotes.
    Raises DeclarationError where two monitors would retrain one model: requests are damped one model at a time.
    """
    left_out = {spec.key.to_user_string() for spec in specs if by_hand(spec.tags)}
    deciding = {
        spec.key.to_user_string(): {**of, "assets": [key for key in of["assets"] if key not in left_out]}
        for spec in specs
        if (of := spec.metadata.get(RETRAINS))
    }
    _require_one_a_model(deciding)
    told = dg.Definitions(sensors=[_telling(specs, services)])
    if not deciding:
        return told
    made = sorted({key for of in deciding.values() for key in of["assets"]})
    job = dg.define_asset_job("retrain", dg.AssetSelection.assets(*(key.split("/") for key in made)))
    return dg.Definitions.merge(told, dg.Definitions(jobs=[job], sensors=[_retraining(deciding, job, services)]))


def retrain_is_running(instance: dg.DagsterInstance, model: str) -> bool:
    """Whether a run that learns the model anew is queued or on its way in this environment. model: asset key."""
    unfinished = dg.RunsFilter(tags=retrain_tags(model), statuses=list(_UNFINISHED))
    return bool(instance.get_runs(filters=unfinished, limit=1))


def retrain_tags(model: str) -> dict[str, str]:
    """The tags of a run that learns a model anew in this environment. model: asset key."""
    return {RETRAIN_OF: model, ENVIRONMENT: environment()}


def _require_one_a_model(deciding: Mapping[str, Mapping[str, Any]]) -> None:
    by_model: dict[str, str] = {}
    for key, of in sorted(deciding.items()):
        first = by_model.setdefault(of["model"], key)
        if first != key:
            names = [name.removesuffix("__retraining") for name in (first, key)]
            raise DeclarationError(
                f"{' and '.join(names)} both declare retrain for {of['model']}, but its budget and cool-down are one",
                remedy="Leave retrain out of one of them",
            )


def _retraining(
    deciding: Mapping[str, Mapping[str, Any]], job: Any, services: Mapping[str, Binding]
) -> dg.SensorDefinition:
    @dg.sensor(job=job, minimum_interval_seconds=_EVERY_MINUTE, name="retraining")
    def retraining(context: dg.SensorEvaluationContext):  # type: ignore[no-untyped-def] # dagster reads annotations
        """Makes the run that the last decision about a model asks for: once, and one at a time."""
        from ml_platform.engine.decisions import decided

        lakehouse, requests, told, tick = build(services["lakehouse"]), [], [], Tick(context)
        for key, of in deciding.items():
            with tick.part(key):
                every = decided(lakehouse.table(key))
                if not every or every[-1].outcome != "retrain":
                    told.append(f"{of['model']}: {every[-1].outcome if every else 'nothing is decided yet'}")
                elif retrain_is_running(context.instance, of["model"]):
                    told.append(f"{of['model']}: a retrain is on its way")
                else:
                    requests.append(_retrain(key, of, every[-1]))
        return tick.ended(requests, "; ".join(told))

    return retraining


def _retrain(key: str, of: Mapping[str, Any], last: Decision) -> dg.RunRequest:
    """The run that the decision asks for. Dagster makes one run of a key, ever: a decision is acted on once."""
    return dg.RunRequest(
        run_key=f"{environment()} {key} {last.number} {last.at.isoformat()}",
        asset_selection=[dg.AssetKey(name.split("/")) for name in of["assets"]],
        tags=retrain_tags(of["model"]),
    )


def _telling(specs: Sequence[dg.AssetSpec], services: Mapping[str, Binding]) -> dg.SensorDefinition:
    keys = [spec.key for spec in specs]

    @dg.sensor(minimum_interval_seconds=_EVERY_MINUTE, name="telling")
    def telling(context: dg.SensorEvaluationContext):  # type: ignore[no-untyped-def] # dagster reads annotations
        """Tells people what newly failed or was mended: checks, runs, and what a materialization wants told."""
        from ml_platform.engine.telling import Memory, tell
        from ml_platform.happenings import checks, failed_runs, sentences

        graph = context.repository_def.asset_graph if context.repository_def else None
        memory = Memory.read(context.cursor)
        happened = [
            *checks(context.instance, graph.asset_check_keys if graph else ()),
            *sentences(context.instance, keys),
        ]
        ended = failed_runs(context.instance, memory.runs_until)
        memory, deliveries = tell(build(services["notifier"]), happened, ended, memory)
        failed = [f"{one.channel}: {one.fault}" for one in deliveries if not one.delivered]
        for fault in failed:
            context.log.warning("people were not told, and it is tried again: %s", fault)
        context.update_cursor(memory.written())
        return dg.SkipReason(f"{len(deliveries) - len(failed)} told, {len(failed)} not delivered")

    return telling
