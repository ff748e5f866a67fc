"""Taints: what turned out to be wrong, kept in a table, and the model versions that learned from it.

A taint says which data files and versions are wrong; whatever was made of them follows from the logs each time anew. So
a version that is fitted later on the same rows is tainted as well, and one that has nothing of them is not: nobody has
to lift a taint. What a walk found is kept with the taint, and with the model version, for logs are cleaned up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ml_platform.engine import delta
from ml_platform.engine.consequences import Consequences, Makes, consequences, partition_of
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.table_log import TableLog
from ml_platform.errors import DeclarationError, NotFoundError
from ml_platform.records.endpoint import Revision
from ml_platform.records.taint import Reach, Seeds, Taint
from ml_platform.records.upkeep import Pin
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

TABLE = "platform/taints"
TAG = "tainted"


@dataclass(frozen=True)
class Walked:
    """What can be walked over: logs of all tables, what models pin, what serves, and which partitions make which."""

    logs: Mapping[str, TableLog]
    pins: Sequence[Pin]
    serving: Sequence[Revision]
    makes: Makes

    def reached(self, seeds: Seeds) -> Consequences:
        """All that the seeds reach."""
        return consequences(seeds.files, seeds.versions, self.logs, self.pins, self.serving, self.makes)

    def tainted(self, taint: Taint) -> dict[tuple[str, int], Reach]:
        """Model and number → how a taint reached it, by the longest way that can still be told."""
        known = {**taint.seeds.files, **taint.reached}
        found: dict[tuple[str, int], Reach] = {}
        for seeds in (taint.seeds, Seeds(known, taint.seeds.versions)):
            reached = self.reached(seeds)
            for pin in reached.models:
                reach = Reach(taint, reached.way(pin.key, pin.version))
                stood = found.get((pin.model, pin.number))
                if stood is None or len(stood.way) < len(reach.way):
                    found[pin.model, pin.number] = reach
        return found


@dataclass(frozen=True)
class Marked:
    """What became of a taint. models: model and number → how it got there; endpoints: those that serve one of these."""

    taint: Taint
    models: Mapping[tuple[str, int], Reach]
    endpoints: Sequence[str]
    new: bool


def taints(lakehouse: Lakehouse) -> list[Taint]:
    """Every taint that there is, oldest first."""
    snap = delta.snapshot(lakehouse.table(TABLE))
    rows = [] if snap is None else delta.read_rows(snap).to_pylist()
    found = [
        Taint(row["subject"], row["why"], row["at"], _read(json.loads(row["seeds"])), json.loads(row["reached"]))
        for row in rows
    ]
    return sorted(found, key=lambda taint: (taint.at, taint.subject))


def mark(
    subject: str, why: str, seeds: Seeds, walked: Callable[[], Walked], registry: ModelRegistry, lakehouse: Lakehouse
) -> Marked:
    """The taint stands, and its tag on every model version that it reaches.

    Idempotent: of one subject there is one taint, and the reason that was given first. Raises DeclarationError without
    a reason.
    """
    if not why.strip():
        raise DeclarationError("the reason is empty, but a taint says why", remedy="Say it with --why")
    stands = next((taint for taint in taints(lakehouse) if taint.subject == subject), None)
    over = walked()
    found = over.reached(seeds)
    reached = {key: sorted(paths) for key, paths in found.files.items()}
    taint = stands or Taint(subject, why, datetime.now(UTC), seeds, reached)
    if stands is None:
        until_undisputed(lambda: _append(taint, lakehouse))
    tainted = over.tainted(taint)
    for (name, number), reach in sorted(tainted.items(), key=lambda one: one[0]):
        keep(name, number, [reach], registry)
    digests = {pin.digest for pin in over.pins if (pin.model, pin.number) in tainted}
    serving = sorted(one.endpoint for one in over.serving if digests & set(one.digests.values()))
    return Marked(taint, tainted, tuple(serving), stands is None)


def reaching(
    standing: Sequence[Taint], walked: Callable[[], Walked], registry: ModelRegistry
) -> dict[tuple[str, int], list[Reach]]:
    """Model and number → the taints that reach it, those included that were found when there was more of the logs."""
    if not standing:
        return {}
    over, by_subject = walked(), {taint.subject: taint for taint in standing}
    found: dict[tuple[str, int], dict[str, Reach]] = {}
    for name in registry.names():
        for version in registry.versions(name):
            for subject, way in json.loads(version.tags.get(TAG, "{}")).items():
                if subject in by_subject:
                    reach = Reach(by_subject[subject], tuple((key, number) for key, number in way))
                    found.setdefault((name, version.number), {})[subject] = reach
    for taint in standing:
        for learned, reach in over.tainted(taint).items():
            found.setdefault(learned, {}).setdefault(taint.subject, reach)
    return {name: list(reaches.values()) for name, reaches in found.items()}


def of_version(key: str, version: int, logs: Mapping[str, TableLog]) -> Seeds:
    """Where a walk begins that is about a version of a table: what its commit brought, wherever that stands by now.

    Of a commit that brought nothing, or that the log has lost, it is everything that the version holds. Raises
    NotFoundError for a version that never was.
    """
    log = logs[key]
    if not 0 <= version <= log.latest:
        raise NotFoundError(
            f"version {version} of {key} is to be tainted, but there never was one",
            allowed=f"Versions go from 0 to {log.latest}",
        )
    entry = log.entries.get(version)
    if entry is not None and entry.adds and entry.data_change:
        parts = {partition_of(path) for path in entry.adds}
        held = None if None in parts else sorted(part for part in parts if part is not None)
        return Seeds({key: sorted(entry.adds)}, {key: {version: held}})
    snap = delta.snapshot(log.location, version)
    return Seeds({key: [file.path for file in snap.files] if snap else []}, {key: {version: None}})


def keep(name: str, number: int, found: Sequence[Reach], registry: ModelRegistry) -> None:
    """What reached a version is kept with it, beside what reached it before."""
    version = registry.version(name, str(number))
    if version is None or not found:
        return
    stood: dict[str, Any] = json.loads(version.tags.get(TAG, "{}"))
    told = {reach.taint.subject: [list(node) for node in reach.way] for reach in found}
    if not told.keys() <= stood.keys():
        registry.record(name, number, {TAG: json.dumps({**told, **stood})})


def _append(taint: Taint, lakehouse: Lakehouse) -> None:
    import pyarrow as pa

    from ml_platform.engine.staging import stage

    schema = pa.schema(
        [
            pa.field("subject", pa.string()),
            pa.field("why", pa.string()),
            pa.field("at", pa.timestamp("us", tz="UTC")),
            pa.field("seeds", pa.string()),
            pa.field("reached", pa.string()),
        ]
    )
    as_json = {"seeds": json.dumps(_written(taint.seeds)), "reached": json.dumps(taint.reached)}
    row = {"subject": taint.subject, "why": taint.why, "at": taint.at, **as_json}
    location = lakehouse.table(TABLE)
    before = delta.snapshot(location)
    staged = stage(pa.Table.from_pylist([row], schema=schema).to_batches(), schema, location)
    delta.commit(staged, read=before, replaced=(), transactions={}, evidence={})


def _written(seeds: Seeds) -> dict[str, Any]:
    versions = {
        key: {str(number): None if parts is None else sorted(parts) for number, parts in of.items()}
        for key, of in seeds.versions.items()
    }
    return {"files": {key: sorted(paths) for key, paths in seeds.files.items()}, "versions": versions}


def _read(content: Mapping[str, Any]) -> Seeds:
    versions = {key: {int(number): parts for number, parts in of.items()} for key, of in content["versions"].items()}
    return Seeds(content["files"], versions)
