"""A trace: one prediction with the chain of ids behind it, from the endpoint's revision to the rows of landed files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ml_platform.engine import delta
from ml_platform.engine.declared import Declared
from ml_platform.engine.fitting import INPUTS, registered_name
from ml_platform.engine.origins import Origin, Origins, Row, written
from ml_platform.engine.plan import quoted
from ml_platform.engine.predictions import Answer
from ml_platform.errors import NotFoundError, nearest
from ml_platform.records.feature import FeatureView
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

_ROWS = "traced.rows"


@dataclass(frozen=True)
class Seen:
    """What a prediction saw of one feature view.

    key, version: the view's table. row: the one that was used; None where none was usable, or it is not found.
    told: what there is to say of it otherwise. origin: where the row came from.
    """

    key: str
    version: int | None
    row: Row | None
    told: str
    origin: Origin | None


@dataclass(frozen=True)
class Trace:
    """A prediction and what is behind it.

    gate: the decision by which its model was promoted, as kept with it; empty where none was.
    training_set: table and version; inputs: of what that was made from. seen: by feature view, in the order of look-up.
    """

    answer: Answer
    model: ModelVersion
    gate: Mapping[str, Any]
    training_set: tuple[str, int] | None
    inputs: Mapping[str, int]
    seen: Sequence[Seen]


def trace(answer: Answer, declared: Declared, registry: ModelRegistry, lakehouse: Lakehouse, compute: Compute) -> Trace:
    """What is behind an answer. Raises NotFoundError where its model version is not registered any more."""
    name = registered_name(answer.model)
    version = registry.version(name, str(answer.model_version))
    if version is None:
        known = [str(each.number) for each in registry.versions(name)]
        raise NotFoundError(
            f"{answer.name} was answered by {answer.model} version {answer.model_version}, but the registry has none",
            allowed=nearest(str(answer.model_version), known),
        )
    pin = json.loads(version.tags.get("training_set", "null"))
    inputs: dict[str, int] = json.loads(version.tags.get(INPUTS, "{}"))
    gate = json.loads(version.tags.get("gate", "{}")).get("decision", {})
    views = {key: declared.views[key] for key in _views(answer, declared, inputs)}
    origins = Origins(declared, lakehouse, compute)
    hidden = declared.redacted.get(registered_name(answer.asked), ()) if answer.read is None else ()
    seen = tuple(_seen(answer, views, hidden, origins))
    return Trace(answer, version, gate, (pin["key"], pin["version"]) if pin else None, inputs, seen)


def _views(answer: Answer, declared: Declared, inputs: Mapping[str, int]) -> list[str]:
    """The feature views that were looked up, in order; those of batch predictions are among what was read."""
    if answer.read is not None:
        return [key for key in declared.reads.get(answer.asked, ()) if key in declared.views]
    by_name = {key.rpartition("/")[2]: key for key in {**inputs, **dict.fromkeys(declared.views)}}
    return [by_name[name] for name in answer.views if by_name.get(name) in declared.views]


def _seen(answer: Answer, views: Mapping[str, FeatureView], hidden: Sequence[str], origins: Origins) -> Iterator[Seen]:
    known = {**answer.features, **answer.inputs}
    for key, view in views.items():
        stood = answer.read.get(key) if answer.read is not None else _as_of(key, answer.served_at, origins)
        if stood is None:
            yield Seen(key, None, None, f"{key} has no version that can be opened", None)
            continue
        used = answer.views.get(view.name, "")
        if used is None:
            yield Seen(key, stood, None, "no row was usable", None)
            continue
        unknown = [name for name in view.entity if name in hidden]
        if unknown:
            told = f"its row cannot be told, for the log has {', '.join(unknown)} only hashed"
            yield Seen(key, stood, None, told, None)
            continue
        yield _looked_up(key, view, stood, replace(answer, inputs=known), used, origins)


def _looked_up(key: str, view: FeatureView, version: int, answer: Answer, used: str, origins: Origins) -> Seen:
    try:
        snap = delta.snapshot(origins.lakehouse.table(key), version)
    except NotFoundError:
        snap = None
    if snap is None:
        return Seen(key, version, None, "it cannot be opened any more", None)
    row = _usable(view, snap, answer, origins.compute)
    if row is None:
        return Seen(key, version, None, f"no row of it is that of {_named(view, answer.inputs)}", None)
    if used and row[view.event_time] != datetime.fromisoformat(used):
        told = f"the row that was used, of {used}, is not in it: it was published later than it was committed"
        return Seen(key, version, None, told, None)
    differs = [
        name for name in view.features if name in answer.features and _plain(row[name]) != _plain(answer.features[name])
    ]
    told = f"seen otherwise: {', '.join(differs)}" if differs else ""
    return Seen(key, version, row, told, origins.of_rows(key, version, [row]))


def _usable(view: FeatureView, snap: TableSnapshot, answer: Answer, compute: Compute) -> Row | None:
    """The row of an entity that was usable at the moment, by the rule of the look-up."""
    moment = answer.event_time
    names = [name for name in view.entity if name in answer.inputs]
    if len(names) < len(view.entity):
        return None
    entity = " AND ".join(f"{quoted(name)} = {written(answer.inputs[name])}" for name in names)
    event_time, known_at = quoted(view.event_time), quoted(view.known_at)
    since = written(moment - timedelta(hours=view.ttl_hours))
    query = (
        f"SELECT * FROM {_ROWS} WHERE {entity} AND {known_at} <= {written(moment)} "
        f"AND {event_time} BETWEEN {since} AND {written(moment)} ORDER BY {event_time} DESC, {known_at} DESC LIMIT 1"
    )
    found: list[Row] = compute.fetch(query, {_ROWS: snap}).to_pylist()
    return found[0] if found else None


def _as_of(key: str, moment: datetime | None, origins: Origins) -> int | None:
    """The version of a table that stood at a moment, by the moments of its commits."""
    log = origins.log(key)
    if log.first is None:
        return None
    stood = [version for version, e in log.entries.items() if moment is None or e.at <= moment.timestamp()]
    return max((version for version in stood if version >= log.first), default=log.first)


def _named(view: FeatureView, inputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {inputs.get(name, 'unknown')}" for name in view.entity)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
