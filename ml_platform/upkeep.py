"""The upkeep of tables: the jobs `maintenance` and `audit` over everything that is declared, and their schedules."""

# Dagster reads the annotations of an op's function as they stand, so this module does not postpone them.
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ml_platform import declared_specs
from ml_platform.errors import ConflictError, NotFoundError, PlatformError, ServiceError
from ml_platform.roles.compute import Compute
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

if TYPE_CHECKING:
    from ml_platform.engine.consequences import Consequences
    from ml_platform.engine.declared import Declared
    from ml_platform.engine.integrity import Audited
    from ml_platform.engine.table_log import TableLog
    from ml_platform.records.upkeep import Maintained, Pin, Upkeep

UPKEEP = declared_specs.UPKEEP
INTACT = "intact"
OUTCOME = "outcome"
_BESIDE = ("", "__manifest", "__quarantine", "__deleted")
_MAINTENANCE_AT, _AUDIT_AT = "0 3 * * *", "0 4 * * 0"


class Selected(dg.Config):
    """Which tables are kept, or examined."""

    keys: list[str] = Field(default=[], description="Asset keys of the tables; all that are declared without any.")


def upkeep(specs: Sequence[dg.AssetSpec]) -> dg.Definitions:
    """The jobs that keep every declared table in shape and look for damage, daily and weekly."""
    tables = {spec.key.to_user_string(): spec.metadata[UPKEEP] for spec in specs if UPKEEP in spec.metadata}
    jobs = [_maintenance(tables, _readers(specs)), _audit(tables, declared_specs.hanging(specs))]
    schedules = [
        dg.ScheduleDefinition(name=job.name, job=job, cron_schedule=at, execution_timezone="UTC")
        for job, at in zip(jobs, (_MAINTENANCE_AT, _AUDIT_AT), strict=True)
    ]
    return dg.Definitions(jobs=jobs, schedules=schedules)


def _readers(specs: Sequence[dg.AssetSpec]) -> dict[str, list[str]]:
    """Table → the tables that read it."""
    found: dict[str, list[str]] = {}
    for spec in specs:
        for dep in spec.deps if UPKEEP in spec.metadata else ():
            found.setdefault(dep.asset_key.to_user_string(), []).append(spec.key.to_user_string())
    return found


def _maintenance(tables: Mapping[str, Mapping[str, Any]], readers: Mapping[str, Sequence[str]]) -> dg.JobDefinition:
    @dg.op(name="maintain", out=dg.Out(dg.Nothing))
    def maintain(
        context: dg.OpExecutionContext,
        config: Selected,
        lakehouse: dg.ResourceParam[Lakehouse],
        compute: dg.ResourceParam[Compute],
        model_registry: dg.ResourceParam[ModelRegistry],
    ) -> None:
        """Small files are rewritten as few, rows are clustered, and what no retained version needs is swept."""
        from ml_platform.engine.pins import pins
        from ml_platform.records.upkeep import Upkeep

        held = pins(model_registry)
        failed = []
        for key in config.keys or tables:
            try:
                done = _maintained(Upkeep(key, **tables[key]), lakehouse, compute, held, readers.get(key, ()))
            except ConflictError as error:
                said: dict[str, Any] = {OUTCOME: f"left to a writer: {error}"}
            except PlatformError as error:
                failed.append(f"{key}: {error}")
                said = {OUTCOME: f"FAILED: {error}"}
            else:
                said = of_maintenance(done)
            context.log_event(dg.AssetObservation(key.split("/"), metadata=said))
        if failed:
            raise dg.Failure("; ".join(failed), allow_retries=False)

    @dg.job(name="maintenance", description="Compaction, clustering, vacuum and checkpoints of every table.")
    def maintenance() -> None:
        maintain()

    return maintenance


def _maintained(
    of: "Upkeep", lakehouse: Lakehouse, compute: Compute, held: "Sequence[Pin]", readers: Sequence[str]
) -> "list[Maintained]":
    """The table, and the tables of its own that stand beside it, as far as they exist."""
    from dataclasses import replace

    from ml_platform.engine import beside, delta_log
    from ml_platform.engine.maintenance import maintain

    done: list[Maintained] = []
    for suffix in _BESIDE:
        one = replace(of, key=f"{of.key}{suffix}", cluster_by=() if suffix else of.cluster_by)
        if delta_log.opened(lakehouse.table(one.key)) is None:
            continue
        pins = [*held, *beside.held(lakehouse.table(of.key), done[0].swept.first, one.key, suffix)] if done else held
        done.append(maintain(one, lakehouse, compute, pins, readers=() if suffix else readers))
    return done


def of_maintenance(done: "Sequence[Maintained]") -> dict[str, Any]:
    """What a table's maintenance says: what came of it, and what was saved."""
    if not done:
        return {OUTCOME: "not made yet"}
    before, after = (sum(getattr(one, name) for one in done) for name in ("files_before", "files_after"))
    swept = sum(one.swept.files for one in done)
    saved = sum(one.swept.size_bytes for one in done)
    entries = sum(one.swept.log_entries for one in done)
    kept = [f"version {v} ({', '.join(m)})" for one in done[:1] for v, m in sorted(one.swept.pinned.items())]
    unread = [f"from version {v} ({', '.join(m)})" for one in done for v, m in sorted(one.swept.unread.items())]
    gave_way = [partition or one.key for one in done for partition in one.gave_way]
    parts = [f"{before} → {after} files" if before != after else f"{after} files"]
    parts += [f"{swept} old files removed, {saved:,} bytes"] if swept else []
    parts += [f"{entries} log entries removed"] if entries else []
    parts += [f"kept for models: {', '.join(kept)}"] if kept else []
    parts += [f"kept for tables that have yet to read it: {', '.join(unread)}"] if unread else []
    parts += [f"left to a writer: {', '.join(gave_way)}"] if gave_way else []
    return {
        OUTCOME: ", ".join(parts),
        "files_before": before,
        "files_after": after,
        "bytes_before": sum(one.bytes_before for one in done),
        "bytes_after": sum(one.bytes_after for one in done),
        "files_removed": swept,
        "bytes_saved": saved,
        "log_entries_removed": entries,
        "kept_for_models": kept,
        "kept_for_readers": unread,
        "left_to_writers": gave_way,
        "checkpoints": sum(one.checkpoint for one in done),
        "table_version": done[0].version,
        "seconds": round(sum(one.seconds for one in done), 3),
    }


def _audit(tables: Mapping[str, Mapping[str, Any]], declared: "Declared") -> dg.JobDefinition:
    @dg.op(name="examine", out=dg.Out(dg.Nothing))
    def examine(
        context: dg.OpExecutionContext,
        config: Selected,
        lakehouse: dg.ResourceParam[Lakehouse],
        model_registry: dg.ResourceParam[ModelRegistry],
        endpoint_host: dg.ResourceParam[EndpointHost],
    ) -> None:
        """Every file of every latest and pinned version holds what its name says, or the run fails and says which."""
        from ml_platform.engine.pins import pins

        held = pins(model_registry)
        found = {
            key: _audited(key, held, lakehouse, _recorded(key, context.instance, lakehouse))
            for key in config.keys or tables
        }
        for key, audited in found.items():
            context.log_event(_evaluation(key, audited))  # type: ignore[arg-type] # dagster takes checks as well
        damaged = [one for audited in found.values() for one in audited if one.findings]
        if damaged:
            touched = _touched(damaged, declared, held, lakehouse, serving(declared.endpoints, endpoint_host))
            raise dg.Failure(
                f"{sum(len(one.findings) for one in damaged)} findings in {len(damaged)} tables",
                metadata=of_consequences(damaged, touched),
                allow_retries=False,
            )

    @dg.job(name="audit", description="Looks for files that went missing or were altered, in every table.")
    def audit() -> None:
        examine()

    return audit


def _recorded(key: str, instance: dg.DagsterInstance, lakehouse: Lakehouse) -> int:
    """The version that a table's last materialization made, where it was this very table; -1 where none is known."""
    event = instance.get_latest_materialization_event(dg.AssetKey(key.split("/")))
    made = event.asset_materialization if event else None
    said = {name: it.value for name, it in made.metadata.items()} if made else {}
    same = said.get("dagster/uri") == lakehouse.table(key).uri
    return int(str(said["table_version"])) if same and "table_version" in said else -1


def _audited(key: str, held: "Sequence[Pin]", lakehouse: Lakehouse, recorded: int) -> "list[Audited]":
    from ml_platform.engine import integrity

    done = []
    for suffix in _BESIDE:
        location = lakehouse.table(f"{key}{suffix}")
        pinned = {pin.version for pin in held if pin.key == location.key}
        with suppress(NotFoundError):
            done.append(integrity.audit(location, pinned, -1 if suffix else recorded))
    return done


def _evaluation(key: str, audited: "Sequence[Audited]") -> dg.AssetCheckEvaluation:
    findings = [sentence(one.key, finding) for one in audited for finding in one.findings]
    read = {"files": sum(one.files for one in audited), "size_bytes": sum(one.size_bytes for one in audited)}
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(key.split("/")),
        check_name=INTACT,
        passed=not findings,
        description=" ".join(findings) or None,
        metadata=read,
    )


def sentence(key: str, finding: Any) -> str:
    """A finding as people read it."""
    held = f" (versions {', '.join(map(str, finding.versions))})" if finding.versions else ""
    return f"{key}: {finding.path or 'the log'} {finding.told}{held}." if finding.path else f"{key}: {finding.told}."


def serving(endpoints: Iterable[str], host: EndpointHost) -> list[Any]:
    """What really serves of these endpoints."""
    return [revision for name in sorted(endpoints) if (revision := host.describe(name)) is not None]


def logs_of(tables: Iterable[str], lakehouse: Lakehouse) -> "dict[str, TableLog]":
    """The logs of these tables and of those beside them, as far as they stand."""
    from ml_platform.engine.table_log import read_log, stands

    locations = [lakehouse.table(f"{key}{suffix}") for key in tables for suffix in _BESIDE]
    return {location.key: read_log(location) for location in locations if stands(location)}


def _touched(
    damaged: "Sequence[Audited]", declared: "Declared", held: "Sequence[Pin]", lakehouse: Lakehouse, serves: list[Any]
) -> "Consequences":
    from ml_platform.engine.consequences import consequences

    logs: dict[str, TableLog] = {}
    for key in declared.tables:
        # What its store does not give is a finding of the table's own.
        with suppress(ServiceError):
            logs |= logs_of([key], lakehouse)
    paths = {one.key: [finding.path for finding in one.findings if finding.path] for one in damaged}
    unreadable = {one.key: [v for f in one.findings if not f.path for v in f.versions] for one in damaged}
    return consequences(paths, unreadable, logs, held, serves, declared.makes)


def of_consequences(damaged: "Sequence[Audited]", touched: "Consequences") -> dict[str, Any]:
    """What a failed audit says: every finding, and what is touched by it."""
    learned: dict[str, list[str]] = {}
    for pin in touched.models:
        learned.setdefault(f"{pin.model} version {pin.number}", []).append(f"{pin.key} version {pin.version}")
    models = [f"{name} ({', '.join(sorted(tables))})" for name, tables in learned.items()]
    return {
        "findings": [sentence(one.key, finding) for one in damaged for finding in one.findings],
        "versions": [f"{key} {', '.join(map(str, found))}" for key, found in touched.versions.items()],
        "models": models,
        "endpoints": list(touched.endpoints),
    }
