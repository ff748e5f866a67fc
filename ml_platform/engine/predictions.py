"""Predictions by their names: a request's row in an endpoint's log, or an event's row in a table of batch predictions.

A served one goes by its request id, whether its log was collected or not. A batch one goes by its table and the event,
`predictions/arrival_delay:<entity>`, with `@<event time>` where the entity has several events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ml_platform.engine import delta
from ml_platform.engine.declared import Declared
from ml_platform.engine.logged import cursor_of
from ml_platform.engine.plan import literal, quoted
from ml_platform.engine.recipe import READ
from ml_platform.engine.table_log import read_log
from ml_platform.errors import DeclarationError, NotFoundError, nearest
from ml_platform.records.table import TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.prediction_log import PredictionLog

_ROWS = "predicted.rows"
_AT_A_TIME = 50_000


@dataclass(frozen=True)
class Answer:
    """One prediction as it is kept.

    name: as it was asked for. asked: the endpoint or the predictions, an asset key; place: where its record stands.
    revision: of the endpoint; None for a batch. read: table → version that a batch read; None for a served one.
    views: feature view → event time of the row used, None where none was usable; empty for a batch.
    """

    name: str
    asked: str
    place: str
    model: str
    model_version: int
    event_time: datetime
    served_at: datetime | None
    inputs: Mapping[str, Any]
    features: Mapping[str, Any]
    views: Mapping[str, str | None]
    output: Any
    revision: int | None = None
    read: Mapping[str, int] | None = None


def find(name: str, declared: Declared, log: PredictionLog, lakehouse: Lakehouse, compute: Compute) -> Answer:
    """The prediction of that name. Raises NotFoundError where nothing goes by it."""
    if name.startswith("predictions/"):
        return _batch(name, declared, lakehouse, compute)
    for endpoint, model in declared.endpoints.items():
        found = _collected(endpoint, name, lakehouse, compute) or _waiting(endpoint, name, log, lakehouse)
        if found is not None:
            row, place = found
            return _answer(name, endpoint, model, row, place)
    logs = ", ".join(f"endpoints/{endpoint}__log" for endpoint in declared.endpoints) or "none"
    raise NotFoundError(
        f"the prediction is {name!r}, but no request goes by it",
        allowed=f"Looked for in {logs}, and in what is not collected yet",
        remedy="An answer's id names a request; an event scored in batch is predictions/<name>:<entity>",
    )


def _collected(
    endpoint: str, name: str, lakehouse: Lakehouse, compute: Compute
) -> tuple[Mapping[str, Any], str] | None:
    key = f"endpoints/{endpoint}__log"
    snap = delta.snapshot(lakehouse.table(key))
    if snap is None:
        return None
    like = f"request_id = {literal(name)} OR starts_with(request_id, {literal(f'{name}-')})"
    found = compute.fetch(f"SELECT * FROM {_ROWS} WHERE {like} ORDER BY request_id", {_ROWS: snap}).to_pylist()
    found.sort(key=lambda row: bool(row.get("shadow")))  # a shadow's answer has the id of the one that was given
    return (_one(name, found), f"{key} version {snap.version}") if found else None


def _waiting(
    endpoint: str, name: str, log: PredictionLog, lakehouse: Lakehouse
) -> tuple[Mapping[str, Any], str] | None:
    """The record where the log has it and the table does not yet."""
    cursor = cursor_of(lakehouse.table(f"endpoints/{endpoint}__log"))
    while True:
        records, cursor = log.since(endpoint, cursor, _AT_A_TIME)
        found = [asdict(it) for it in records if it.request_id == name or it.request_id.startswith(f"{name}-")]
        if found:
            found.sort(key=lambda row: bool(row.get("shadow")))
            return _one(name, found), f"the prediction log of {endpoint}, not collected yet"
        if len(records) < _AT_A_TIME:
            return None


def _one(name: str, found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row that is meant: a request may have asked for several."""
    ids = list(dict.fromkeys(row["request_id"] for row in found))
    if len(ids) > 1 and name not in ids:
        raise NotFoundError(
            f"the prediction is {name!r}, but that request asked for {len(ids)} rows",
            allowed=f"They are {', '.join(ids[:5])}{' …' if len(ids) > 5 else ''}",
            remedy="Name one of them",
        )
    return next((row for row in found if row["request_id"] == name), found[0])


def _answer(name: str, endpoint: str, model: str, row: Mapping[str, Any], place: str) -> Answer:
    inputs, features, views = (_parsed(row[it]) for it in ("inputs", "features", "views"))
    return Answer(
        name=row["request_id"],
        asked=f"endpoints/{endpoint}",
        place=place,
        model=model,
        model_version=row["model_version"],
        event_time=row["event_time"],
        served_at=row["served_at"],
        inputs=inputs,
        features=features or {},
        views=views or {},
        output=f"no answer, {row['error']}" if row.get("error") else row["output"],
        revision=row["revision"],
    )


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _batch(name: str, declared: Declared, lakehouse: Lakehouse, compute: Compute) -> Answer:
    key, colon, event = name.partition(":")
    known = [it for it in declared.models if it.startswith("predictions/")]
    if key not in known:
        raise NotFoundError(f"{key} is asked for, but no such predictions are declared", allowed=nearest(key, known))
    entity = declared.entities[key]
    values, at, moment = event.partition("@")
    given = values.split(",") if len(entity) > 1 else [values]
    if not colon or len(given) != len(entity):
        raise DeclarationError(
            f"the prediction is {name!r}, but an event of {key} goes by {', '.join(entity)}",
            allowed=f"It is written {key}:{','.join(f'<{it}>' for it in entity)}, with @<event time> where needed",
        )
    snap = delta.existing(lakehouse.table(key))
    where = [
        f"CAST({quoted(column)} AS VARCHAR) = {literal(value)}" for column, value in zip(entity, given, strict=True)
    ]
    if at:
        where.append(f"event_time = CAST({literal(_moment(moment).isoformat())} AS TIMESTAMPTZ)")
    query = f"SELECT * FROM {_ROWS} WHERE {' AND '.join(where)} ORDER BY processed_at DESC, model_version DESC"
    rows = compute.fetch(query, {_ROWS: snap}).to_pylist()
    if not rows:
        raise NotFoundError(
            f"{name} is asked for, but {key} has no such event", remedy=f"It is at version {snap.version}"
        )
    moments = sorted({row["event_time"] for row in rows})
    if len(moments) > 1:
        raise NotFoundError(
            f"{name} is asked for, but {len(moments)} events go by it",
            allowed=f"They are at {', '.join(it.isoformat() for it in moments[:5])}",
            remedy="Name one of them, with @ and its event time",
        )
    return _scored(name, key, snap, rows[0], entity, declared, lakehouse)


def _scored(
    name: str,
    key: str,
    snap: TableSnapshot,
    row: Mapping[str, Any],
    entity: Sequence[str],
    declared: Declared,
    lakehouse: Lakehouse,
) -> Answer:
    """The latest answer for an event, with the versions that the commit read which brought it."""
    read = next(_commits(key, row["processed_at"], lakehouse), None) or _kept(key, snap, declared)
    own = {"event_time", "prediction", "probability", "model_version", "processed_at", *entity}
    return Answer(
        name=name,
        asked=key,
        place=f"{key} version {snap.version}",
        model=declared.models[key],
        model_version=row["model_version"],
        event_time=row["event_time"],
        served_at=row["processed_at"],
        inputs={column: row[column] for column in entity},
        features={column: value for column, value in row.items() if column not in own},
        views={},
        output=row["prediction"],
        read=read,
    )


def _commits(key: str, scored: datetime, lakehouse: Lakehouse) -> Iterator[Mapping[str, int]]:
    """What the commits read that came after a row was scored: the first of them brought it."""
    for _, entry in sorted(read_log(lakehouse.table(key)).entries.items()):
        read = entry.evidence.get("read")
        if isinstance(read, dict) and entry.at >= scored.timestamp() - 1e-3:
            yield read


def _kept(key: str, snap: TableSnapshot, declared: Declared) -> dict[str, int]:
    """What the table last read, by the numbers that it keeps: its log has lost the commit."""
    names = {f"{READ}{it}": it for it in declared.reads.get(key, ())}
    numbers = delta.transactions(snap.location, names, snap.version)
    return {names[name]: number for name, number in numbers.items() if number is not None}


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DeclarationError(
            f"the event time is {text!r}, but it is no moment", allowed="One is written 2013-01-02T08:00:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
