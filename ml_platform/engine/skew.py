"""The skew audit: logged requests asked again offline, and what a model saw held against that, value by value.

The requests that came since the last audit are joined with the views' tables as a training set is; a value that differs
is skew, whatever made it: other code, a late publication, or a row that was known in time and landed afterwards. The
verdict is kept beside the tables, and stops the next promotion until newer requests are found clean.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from pyarrow.fs import FileSelector, FileType

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.plan import quoted
from ml_platform.engine.point_in_time import join
from ml_platform.engine.recipe import Fetch
from ml_platform.engine.redaction import Redaction
from ml_platform.engine.request_time import taken, version_of
from ml_platform.engine.sql import relation
from ml_platform.records.feature import FeatureView, RequestTimeFeatures
from ml_platform.records.table import TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

AT_A_TIME = 5_000
_FOLDER = "platform/skew"
_LOG = "logged.rows"
_MOMENT = "__moment"


@dataclass(frozen=True)
class Skew:
    """What an audit found.

    requests: how many were asked again. through: the place in the log of the last of them.
    differing: feature → of how many requests it differs. example: of one of them, what was seen and what is offline.
    """

    requests: int
    through: int
    differing: Mapping[str, int] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)


def audit(
    endpoint: str,
    model: str,
    log: TableSnapshot,
    views: Mapping[str, FeatureView],
    lakehouse: Lakehouse,
    compute: Compute,
    request_time: Sequence[RequestTimeFeatures] = (),
    hidden: Redaction | None = None,
) -> Skew:
    """What was found of the latest requests since the last audit, at most 5,000; where there are none, what stands.

    endpoint, model: asset keys. log: the endpoint's. views: asset key → view, in the order of the look-ups.
    request_time: what is computed of them, as it is declared.
    hidden: what the log has as keyed hashes; the views' values are held against it as such, and what is computed of a
    hidden column is not asked again.
    """
    files, path = filesystem(lakehouse.files(f"{_FOLDER}/{_named(model)}")), f"{_named(endpoint)}.json"
    stands = Skew(0, 0)
    if files.get_file_info(path).type == FileType.File:
        with files.open_input_stream(path) as stream:
            stands = Skew(**json.loads(stream.read()))
    query = (
        f"SELECT * FROM {_LOG} WHERE sequence > {stands.through}{_answered(log)} "
        f"ORDER BY sequence DESC LIMIT {AT_A_TIME}"
    )
    requests = compute.fetch(query, {_LOG: log}).to_pylist()
    if not requests:
        return stands
    tables = {relation(key): delta.existing(lakehouse.table(key)) for key in views}
    auditable = [each for each in request_time if not (hidden and hidden.columns & set(taken([each])))]
    found = replay(requests, views, lambda asked: compute.fetch(asked, tables), auditable, hidden)
    put(files, path, json.dumps(asdict(found), default=str).encode())
    return found


def verdicts(model: str, lakehouse: Lakehouse) -> dict[str, Skew]:
    """Endpoint → what its last audit found, of every endpoint that serves the model; its key with dots for slashes."""
    files = filesystem(lakehouse.files(f"{_FOLDER}/{_named(model)}"))
    found = {}
    for info in sorted(files.get_file_info(FileSelector("", allow_not_found=True)), key=lambda it: it.path):
        if info.path.endswith(".json"):
            with files.open_input_stream(info.path) as stream:
                found[info.path.removesuffix(".json")] = Skew(**json.loads(stream.read()))
    return found


def objections(model: str, lakehouse: Lakehouse) -> tuple[str, ...]:
    """Why no version of a model may be promoted, a sentence for each endpoint whose last audit found skew."""
    said = []
    for endpoint, found in verdicts(model, lakehouse).items():
        if found.differing:
            named = ", ".join(f"{feature} in {count}" for feature, count in sorted(found.differing.items()))
            said.append(
                f"Broken: of the last {found.requests} requests to {endpoint}, served and offline features differ: "
                f"{named}."
            )
    return tuple(said)


def replay(
    requests: Sequence[Mapping[str, Any]],
    views: Mapping[str, FeatureView],
    fetch: Fetch,
    request_time: Sequence[RequestTimeFeatures] = (),
    hidden: Redaction | None = None,
) -> Skew:
    """What differs between what was seen and what the offline path gives.

    requests: rows of a log, at least one. fetch: asks queries over the views' tables. request_time: held against what
    was computed by these very functions; a model that learned from other ones is served by those, and not asked again.
    hidden: what the log has hashed; a number of it was not logged, so that it cannot differ.
    """
    moments = [row["event_time"] for row in requests]
    rows = [
        (view, _as_logged(_rows(key, view, min(moments), max(moments), fetch), hidden)) for key, view in views.items()
    ]
    events = _events(requests, [kept for _, kept in rows])
    offline = join(events, rows, _MOMENT, request_time).to_dicts()
    looked_up = {name for view in views.values() for name in view.features}
    differing: Counter[str] = Counter()
    example: dict[str, Any] = {}
    for request, now in zip(requests, offline, strict=True):
        seen = json.loads(request["features"])
        for feature in sorted(seen.keys() & (looked_up | _computed(request, request_time))):
            if hidden and feature in hidden.columns and seen[feature] is None:
                continue
            if not _same(seen[feature], now[feature]):
                differing[feature] += 1
                example = example or {
                    "request_id": request["request_id"],
                    "feature": feature,
                    "seen": seen[feature],
                    "offline": now[feature],
                }
    through = max(int(request["sequence"]) for request in requests)
    return Skew(len(requests), through, dict(sorted(differing.items())), example)


def _answered(log: TableSnapshot) -> str:
    """The condition for a row that answered a caller; a table from before others were logged holds no other."""
    if "shadow" not in log.schema.names:
        return ""
    return " AND coalesce(error, '') = '' AND NOT coalesce(shadow, false)"


def _computed(request: Mapping[str, Any], request_time: Sequence[RequestTimeFeatures]) -> set[str]:
    """The features that were computed for a request by the functions as they are declared."""
    by = json.loads(request["views"]) if request_time else {}
    return {feature for each in request_time if version_of(each) in by for feature in each.features}


def _rows(key: str, view: FeatureView, first: datetime, last: datetime, fetch: Fetch) -> pl.DataFrame:
    """The view's rows that a request between the two moments may use."""
    columns = ", ".join(quoted(it) for it in (*view.entity, view.event_time, view.known_at, *view.features))
    since, until = (
        f"CAST('{moment.isoformat()}' AS TIMESTAMPTZ)" for moment in (first - timedelta(hours=view.ttl_hours), last)
    )
    event_time, known_at = quoted(view.event_time), quoted(view.known_at)
    query = (
        f"SELECT {columns} FROM {relation(key)} WHERE {event_time} >= {since} AND {event_time} <= {until} "
        f"AND {known_at} <= {until}"
    )
    return pl.DataFrame(pl.from_arrow(fetch(query)))


def _as_logged(rows: pl.DataFrame, hidden: Redaction | None) -> pl.DataFrame:
    """The rows with what the log hides hashed as it is there."""
    for name in rows.columns if hidden else ():
        if hidden and name in hidden.columns:
            values = rows[name].unique().to_list()
            texts = [hidden.value(value) for value in values]
            changed = pl.Series(values, dtype=rows.schema[name])
            rows = rows.with_columns(pl.col(name).replace_strict(changed, pl.Series(texts, dtype=pl.String)))
    return rows


def _events(requests: Sequence[Mapping[str, Any]], views: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """What the requests carried, of the types that the views' keys have, and their moments."""
    inputs = pl.DataFrame([json.loads(row["inputs"]) for row in requests], infer_schema_length=None)
    kinds = {name: kind for view in views for name, kind in view.schema.items() if name in inputs.columns}
    at = pl.Series(_MOMENT, [row["event_time"] for row in requests], pl.Datetime("us", "UTC"))
    return inputs.with_columns(pl.col(name).cast(kind) for name, kind in kinds.items()).with_columns(at)


def _same(seen: Any, offline: Any) -> bool:
    if isinstance(offline, float) and math.isnan(offline):
        return seen is None
    return bool(seen == offline)


def _named(key: str) -> str:
    return key.replace("/", ".")
