"""A taint as a person on a terminal gives it, and as the UI shows it at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
import dagster as dg

from ml_platform.declared_specs import models
from ml_platform.errors import NotFoundError, nearest
from ml_platform.taint_checks import evaluations, report, walked

if TYPE_CHECKING:
    from ml_platform.engine.restore import Restored
    from ml_platform.engine.taints import Marked, Walked
    from ml_platform.records.taint import Seeds

_FILE = "file:"


def taint_subject(subject: str, why: str, definitions: dg.Definitions) -> Iterator[str]:
    """What is tainted now, a line each, which the UI shows as well.

    subject: a table's version, or a landed file. Raises NotFoundError where there is no such thing.
    """
    from ml_platform import binding
    from ml_platform.declared_graph import declared_graph
    from ml_platform.engine.reached import holding, named

    declared, lakehouse = declared_graph(definitions), binding.service("lakehouse")
    if not subject.startswith(_FILE):
        key, version = table_version(subject, declared.tables)
        return marked(f"{key}@{version}", why, lambda over: _seeds(key, version, over), definitions)
    found = named(subject.removeprefix(_FILE), declared, lakehouse)
    return (
        line
        for one in found
        for line in marked(
            f"{_FILE}{one.path} {one.digest}",
            why,
            lambda over, one=one: holding(one, over.logs, lakehouse),
            definitions,
        )
    )


def marked(subject: str, why: str, seeds: Any, definitions: dg.Definitions) -> Iterator[str]:
    """What is tainted by a subject, a line each; the UI shows it. seeds: from what is walked over, where to begin."""
    from ml_platform import binding
    from ml_platform.declared_graph import declared_graph
    from ml_platform.engine.taints import mark

    require_dagster_home()
    declared = declared_graph(definitions)
    lakehouse, registry, host = (binding.service(it) for it in ("lakehouse", "model_registry", "endpoint_host"))
    over = walked(declared, lakehouse, registry, host)
    done = mark(subject, why, seeds(over), lambda: over, registry, lakehouse)
    named = models(list(definitions.resolve_all_asset_specs()))
    with dg.DagsterInstance.get() as instance:
        report(instance, evaluations(declared, named, lakehouse, registry, host))
    return _told(done)


def taken_back(done: Restored, definitions: dg.Definitions) -> list[str]:
    """What is tainted by a restore, a line each: what learned from rows that it took back; nothing where none did."""
    from ml_platform.records.taint import Seeds

    if not done.files_gone:
        return []

    def seeds(over: Walked) -> Seeds:
        log = over.logs.get(done.key)
        entry = log.entries.get(done.version) if log else None
        return Seeds({done.key: sorted(entry.removes) if entry else []})

    subject = f"restore:{done.key}@{done.of} in version {done.version}"
    return [
        line for line in marked(subject, done.why, seeds, definitions) if line.startswith(("models/", "endpoints/"))
    ]


def table_version(subject: str, tables: Sequence[str] | Any) -> tuple[str, int]:
    """The table and the version in `silver/flights@3`. Raises NotFoundError, naming the nearest, for no such table."""
    key, _, version = subject.rpartition("@")
    if not key or not version.isdigit():
        raise click.UsageError(f"{subject} is no table and version, which are written as silver/flights@3")
    if key not in tables:
        raise NotFoundError(f"the table is {key!r}, but none of that name is declared", allowed=nearest(key, tables))
    return key, int(version)


def require_dagster_home() -> None:
    """Returns where the instance that the UI shows is known."""
    if "DAGSTER_HOME" not in os.environ:
        raise click.UsageError("DAGSTER_HOME is not set; `make run` sets it to the folder that holds dagster.yaml")


def _seeds(key: str, version: int, over: Walked) -> Seeds:
    from ml_platform.engine.taints import of_version

    if key not in over.logs:
        raise NotFoundError(f"the table {key} is not there, but version {version} of it is to be tainted")
    return of_version(key, version, over.logs)


def _told(done: Marked) -> Iterator[str]:
    taint = done.taint
    since = "" if done.new else f" since {taint.at:%Y-%m-%d %H:%M} UTC already"
    yield f"{taint.subject} is tainted{since}: {taint.why}"
    for (name, number), reach in sorted(done.models.items()):
        yield f"models/{name} version {number} is tainted, by way of {reach.steps}"
    for endpoint in done.endpoints:
        yield f"endpoints/{endpoint} serves a tainted version"
    if not done.models:
        yield "no registered model learned from it"
