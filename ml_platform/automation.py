"""Automation: what is made by itself, when, and by which job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import dagster as dg

from ml_platform.binding import Binding, build, environment
from ml_platform.declared_specs import SOURCE
from ml_platform.errors import NotFoundError
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.tick import Tick
from ml_platform.upkeep import upkeep

# The tag of what only a person makes, by naming it: a promotion that is declared to be by hand.
BY_HAND = {"ml_platform/promote": "manual"}
_EVERY_MINUTE = 60


@cache
def following() -> dg.AutomationCondition[Any]:
    """An asset is made again when what it reads was updated: any partition, a back-dated one too.

    Unlike dagster's `eager`, it does not look at the latest time window only; an unpartitioned asset does not wait for
    every partition of what it reads, one of each is enough; and an update is answered by a request that comes after it,
    never by one that was on its way when it came, nor by the asset's being made meanwhile.
    """
    condition = dg.AutomationCondition
    updated = condition.any_deps_updated()
    # Seen a tick late: what is updated in the very tick that sees a request came after it.
    requested = condition.newly_requested() | condition.initial_evaluation()
    unanswered = updated.since(requested) | (updated & requested).since(requested & ~updated)
    return (
        unanswered.with_label("unanswered")
        & condition.all_deps_match(~condition.missing())
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
    ).with_label("following")


def automation(specs: Sequence[dg.AssetSpec], services: Mapping[str, Binding]) -> dg.Definitions:
    """The jobs, the schedule and the sensors of everything that is declared.

    everything: the job that makes all of it, but what is made by hand. refresh: the same from bronze on, daily for the
    month that the clock is in. ingest: the bronze tables, asked for by the sensor `landed_files` when files land.
    `following` is the sensor that makes what follows. Without sources, only the first and the last of these.
    `ml_platform.upkeep` adds what keeps tables in shape.
    """
    sources = [spec for spec in specs if SOURCE in spec.metadata]
    landing = {dep.asset_key for spec in sources for dep in spec.deps}
    every = dg.AssetSelection.all() - dg.AssetSelection.assets(*(spec.key for spec in specs if by_hand(spec.tags)))
    everything = dg.define_asset_job("everything", every)
    refresh = dg.define_asset_job("refresh", every - dg.AssetSelection.assets(*landing))
    ingest = dg.define_asset_job("ingest", dg.AssetSelection.assets(*(spec.key for spec in sources)))
    follow = dg.AutomationConditionSensorDefinition("following", target=dg.AssetSelection.all())
    kept = upkeep(specs)
    if not sources:
        return dg.Definitions.merge(dg.Definitions(jobs=[everything], sensors=[follow]), kept)
    moved = dg.Definitions(
        jobs=[everything, refresh, ingest],
        schedules=[_daily(sources, refresh, services)],
        sensors=[_landed_files(sources, ingest, services), follow],
    )
    return dg.Definitions.merge(moved, kept)


def by_hand(tags: Mapping[str, str]) -> bool:
    """Whether an asset of these tags is made only by who names it."""
    return BY_HAND.items() <= tags.items()


def _daily(sources: Sequence[dg.AssetSpec], job: Any, services: Mapping[str, Binding]) -> dg.ScheduleDefinition:
    timezones = {spec.metadata[SOURCE]["timezone"] for spec in sources}
    timezone = min(timezones, default="UTC")

    @dg.schedule(job=job, cron_schedule="0 5 * * *", execution_timezone=timezone, name="daily")
    def daily(context: dg.ScheduleEvaluationContext):  # type: ignore[no-untyped-def] # dagster reads annotations
        """Asks for the month that the platform's clock is in, from the earliest that landed files still have rows of.

        What a month's edge brings late belongs to the month before: a month alone would leave it waiting.
        """
        from zoneinfo import ZoneInfo

        from ml_platform.engine import clock

        partitions, lakehouse = _partitions(sources), build(services["lakehouse"])
        try:
            now = clock.now(lakehouse, sources[0].metadata["clock"])
        except NotFoundError as nothing:
            return dg.SkipReason(str(nothing))
        month = now.astimezone(ZoneInfo(timezone)).strftime("%Y-%m")
        last = min(max(month, partitions[0]), partitions[-1])
        first = min(filter(None, [last, *_asked(sources, lakehouse)]))
        return dg.RunRequest(partition_key=last) if first == last else dg.RunRequest(tags=range_tags(first, last))

    return daily


def _landed_files(sources: Sequence[dg.AssetSpec], job: Any, services: Mapping[str, Binding]) -> dg.SensorDefinition:
    @dg.sensor(job=job, minimum_interval_seconds=_EVERY_MINUTE, name="landed_files")
    def landed_files(context: dg.SensorEvaluationContext):  # type: ignore[no-untyped-def] # dagster reads annotations
        """Asks for the bronze partitions of which a landed file holds rows that were not ingested yet."""
        from ml_platform.engine.ingest import listing

        lakehouse = build(services["lakehouse"])
        seen = listing({spec.metadata[SOURCE]["landing"] for spec in sources}, lakehouse)
        if seen == context.cursor:
            return dg.SkipReason("nothing has landed since the last look")
        tick = Tick(context)
        asked = _asked(sources, lakehouse, tick)
        # What is looked at again, for something could not be, is asked for once.
        requests = list(_requests(asked, "" if tick.whole else f"{environment()} {seen}"))
        if tick.whole:
            context.update_cursor(seen)
        return tick.ended(requests, "all that has landed was ingested")

    return landed_files


def _asked(
    sources: Sequence[dg.AssetSpec], lakehouse: Lakehouse, tick: Tick | None = None
) -> dict[str, list[dg.AssetKey]]:
    """Partition → the bronze assets for which landed files hold rows of it; the empty text is no partition.

    tick: goes on where one source cannot be looked at.
    """
    from ml_platform.engine.ingest import Source, waiting

    every = _partitions(sources)
    asked: dict[str, list[dg.AssetKey]] = {}
    for spec in sources:
        with tick.part(spec.key.to_user_string()) if tick else nullcontext():
            for partition in waiting(Source(**spec.metadata[SOURCE]), every, lakehouse):
                asked.setdefault(partition, []).append(spec.key)
    return asked


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags that make a run one over a range of partitions."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def _requests(asked: Mapping[str, Sequence[dg.AssetKey]], once: str) -> Iterator[dg.RunRequest]:
    """once: by which dagster makes one run of each, however often it is asked for; empty where it is asked for once."""
    for partition, keys in sorted(asked.items()):
        names = " ".join(key.to_user_string() for key in keys)
        run_key = f"{once} {partition} {names}" if once else None
        yield dg.RunRequest(run_key=run_key, asset_selection=list(keys), partition_key=partition or None)


def _partitions(specs: Sequence[dg.AssetSpec]) -> Sequence[str]:
    """Every partition that any of the assets has, in order."""
    definitions = [spec.partitions_def for spec in specs if spec.partitions_def is not None]
    return definitions[0].get_partition_keys() if definitions else []
