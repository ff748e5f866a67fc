"""Monitoring: every window of what was answered, compared, as a table, and the report that a person looks at.

Decided for the bad days. An empty log is "not enough data" in every family, and so is a window of a champion that has
answered little: while a rollout splits the traffic, drift and quality are of the champion's own answers, volume and
freshness of all. A period without a row, between others or behind the last of a log, breaks the volume. A feature that
the baseline has and the window has not, or has as another type, is broken input; the others are told all the same.
Labels count as they are known by the platform's clock; of two for one event the later known holds. A clock that went
back knows fewer labels and asks for nothing until it has passed its last decision; one that jumped ahead finds nothing
fresh and labels overdue, which is an incident.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from ml_platform.engine import delta, skew
from ml_platform.engine.assessing import Known, Measured, assess
from ml_platform.engine.champion import champion_of
from ml_platform.engine.counting import Window, count, label
from ml_platform.engine.distributions import Bins, bins_of
from ml_platform.engine.package import BASELINE, METRICS, read_json
from ml_platform.engine.periods import ended
from ml_platform.engine.plan import Shape
from ml_platform.engine.program import digest
from ml_platform.engine.recipe import Fetch, Recipe
from ml_platform.engine.rollout_log import RolloutLog
from ml_platform.engine.sql import relation
from ml_platform.engine.tables import Made, make
from ml_platform.engine.watched import Watched, is_number, labels_of, rows_of, schema
from ml_platform.records.model import ModelVersion
from ml_platform.records.monitor import PREDICTION, Finding, MonitorRules, QualityRules
from ml_platform.records.table import TableVersion
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

SCHEMA = pa.schema(
    [
        pa.field("window", pa.string()),
        pa.field("family", pa.string()),
        pa.field("feature", pa.string()),
        pa.field("statistic", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("state", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("threshold", pa.float64()),
        pa.field("lower", pa.float64()),
        pa.field("upper", pa.float64()),
        pa.field("baseline", pa.string()),
        pa.field("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class Monitoring:
    """What is watched: its own asset key, that of the model whose champion answers, and the rules.

    code: digest of the declaration.
    """

    key: str
    model: str
    watched: Watched
    rules: MonitorRules
    code: str


@dataclass(frozen=True)
class Monitored:
    """A monitor's table as it was made, and every finding in it; `measured` again where anybody needs the counts."""

    made: Made
    findings: tuple[Finding, ...]
    rules: MonitorRules
    measure: Callable[[], Measured] = field(repr=False)


@dataclass(frozen=True)
class _Champion:
    version: ModelVersion
    baseline: Mapping[str, Any]
    own: Mapping[str, float]


def watch(
    monitoring: Monitoring, now: datetime, lakehouse: Lakehouse, compute: Compute, registry: ModelRegistry
) -> Monitored:
    """The table holding a row a window, feature and statistic, of the champion's answers.

    now: by the platform's clock; it counts by the full hour, so that what stands is unchanged until the next.
    Raises NotFoundError where no champion stands or what is watched is not there.
    """
    champion = _champion(_answering(monitoring, lakehouse, registry), registry)
    now = now.replace(minute=0, second=0, microsecond=0)
    audited = skew.verdicts(monitoring.model, lakehouse)
    seen: list[Measured] = []

    def measured(fetch: Fetch) -> Measured:
        seen.append(_measure(monitoring, champion, audited, now, fetch))
        return seen[-1]

    def stream(fetch: Fetch) -> Iterator[pa.Table]:
        yield table(measured(fetch).findings)

    recipe = Recipe(
        key=monitoring.key,
        inputs=_inputs(monitoring.watched),
        shape=Shape(),
        code=_code(monitoring, champion, audited, now),
        stream=stream,
    )
    made = make(recipe, [""], [""], lakehouse, compute)
    found = seen[-1].findings if seen else findings(made)

    def measure() -> Measured:
        inputs = {relation(key): delta.existing(lakehouse.table(key)) for key in recipe.inputs}
        return seen[-1] if seen else measured(lambda query: compute.fetch(query, inputs))

    return Monitored(made, found, monitoring.rules, measure)


def table(found: tuple[Finding, ...]) -> pa.Table:
    """The findings as rows."""
    return pa.Table.from_pylist([asdict(one) for one in found], schema=SCHEMA)


def findings(made: Made) -> tuple[Finding, ...]:
    """The findings that a table holds."""
    return tuple(Finding(**row) for row in delta.read_rows(made.snapshot).to_pylist())


def _inputs(watched: Watched) -> tuple[str, ...]:
    return tuple(dict.fromkeys([watched.table, *([watched.labels] if watched.labels else [])]))


def _answering(monitoring: Monitoring, lakehouse: Lakehouse, registry: ModelRegistry) -> ModelVersion:
    """The version whose answers are watched: the champion; of an endpoint that went back from it, what serves there."""
    champion = champion_of(monitoring.model, registry)
    if not monitoring.watched.logged:
        return champion
    last = RolloutLog(lakehouse.table(f"{monitoring.watched.table.removesuffix('__log')}__rollout")).last()
    state = last.state if last else None
    if state is None or state.stage != "rolled back" or state.target.version != champion.number or not state.before:
        return champion
    return registry.version(champion.name, str(state.before.version)) or champion


def _champion(version: ModelVersion, registry: ModelRegistry) -> _Champion:
    with TemporaryDirectory() as folder:
        package = registry.fetch(version.name, version.number, Path(folder) / "package")
        baseline, metrics = read_json(package / BASELINE), read_json(package / METRICS)
    return _Champion(version, baseline, metrics.get("test", {}))


def _code(monitoring: Monitoring, champion: _Champion, audited: Mapping[str, skew.Skew], now: datetime) -> str:
    """What the table follows from, beside the tables that it reads."""
    verdicts = json.dumps({name: asdict(found) for name, found in sorted(audited.items())}, sort_keys=True, default=str)
    parts = [
        monitoring.code,
        f"{champion.version.number} {champion.version.digest}",
        digest("engine.assessing", "engine.counting", "engine.watched"),
        verdicts,
        now.isoformat(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _measure(
    monitoring: Monitoring, champion: _Champion, audited: Mapping[str, skew.Skew], now: datetime, fetch: Fetch
) -> Measured:
    watched, rules = monitoring.watched, monitoring.rules
    statistics = {**champion.baseline["features"], PREDICTION: champion.baseline["score"]}
    bins = {name: bins_of(one) for name, one in statistics.items()}
    columns = schema(fetch(f"SELECT * FROM {relation(watched.table)} LIMIT 0"))
    absent = {} if watched.logged else _absent(bins, columns)
    hidden = [name for name in bins if name in watched.redacted]
    there = {name: one for name, one in bins.items() if name not in absent and name not in hidden}
    kinds = {name: one.kind for name, one in there.items()}
    rows = rows_of(watched, champion.version.number, columns, kinds, set(there))
    windows = count(rows, there, rules.windows, fetch)
    if rules.quality and watched.labels and windows:
        windows = _with_labels(watched, rules.quality, rows, windows, now, fetch)
    shares = _shares(audited)
    known = Known(
        task=watched.task,
        statistics=statistics,
        bins=there,
        now=now,
        timezone=watched.timezone,
        trained_rows=champion.baseline.get("rows"),
        absent=absent,
        hidden=tuple(hidden),
        expected=(ended(windows[-1].name, now, watched.timezone) or "") if watched.logged and windows else "",
        own=champion.own,
        skew=shares,
        skew_requests=sum(found.requests for found in audited.values()),
    )
    return Measured(known, tuple(windows), tuple(assess(rules, known, windows)), champion.version)


def _with_labels(
    watched: Watched, quality: QualityRules, rows: str, windows: list[Window], now: datetime, fetch: Fetch
) -> list[Window]:
    columns = schema(fetch(f"SELECT * FROM {relation(str(watched.labels))} LIMIT 0"))
    labels, due = labels_of(watched, now, columns), now - timedelta(hours=quality.within_hours)
    found = label(rows, labels, watched, windows[0].name, due, fetch)
    return [replace(window, labelled=found.get(window.name, window.labelled)) for window in windows]


def _absent(bins: Mapping[str, Bins], columns: Mapping[str, str]) -> dict[str, str]:
    """Feature → why it cannot be compared: the window lacks it, or has a number for what was learned as a text."""
    found = {}
    for name, one in bins.items():
        if name not in columns:
            found[name] = "the baseline has it, but what is watched does not"
        elif one.kind == "number" and not is_number(columns[name]) and columns[name] != "string":
            found[name] = f"it is a {columns[name]}, but it was learned as a number"
    return found


def _shares(audited: Mapping[str, skew.Skew]) -> dict[str, float] | None:
    """Feature → the share of requests in which it differed, the largest of any endpoint; None without a request."""
    if not any(found.requests for found in audited.values()):
        return None
    shares: dict[str, float] = {}
    for found in audited.values():
        for feature, many in found.differing.items():
            shares[feature] = max(shares.get(feature, 0.0), many / max(found.requests, 1))
    return shares


def standing_findings(key: str, lakehouse: Lakehouse) -> tuple[tuple[Finding, ...], TableVersion]:
    """The findings in a monitor's table as it stands, and its version. Raises NotFoundError where it is not there."""
    snapshot = delta.existing(lakehouse.table(key))
    rows = delta.read_rows(snapshot).to_pylist()
    return tuple(Finding(**row) for row in rows), TableVersion(key, snapshot.version, delta.fingerprint(snapshot))
