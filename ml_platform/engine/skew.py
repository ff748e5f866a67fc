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
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from pyarrow.fs import FileSelector, FileType

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.plan import quoted
from ml_platform.engine.point_in_time import join, with_request_time
from ml_platform.engine.recipe import Fetch
from ml_platform.engine.redaction import Redaction, with_computed
from ml_platform.engine.request_time import version_of
from ml_platform.engine.sql import relation
from ml_platform.records.feature import FeatureView, RequestTimeFeatures
from ml_platform.records.table import TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

AT_A_TIME = 5_000
FOLDER = "platform/skew"
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


@dataclass(frozen=True)
class Audited:
    """What is asked again.

    endpoint, model: asset keys. views: asset key → view, in the order of the look-ups. request_time: what is computed
    of them, as it is declared. tolerance: by how much a number may differ, in its unit, or as a share where it is
    above 1. hidden: what the log has as keyed hashes; the views' values are held against it as such, and what is
    computed of a hidden column is not asked again.
    """

    endpoint: str
    model: str
    views: Mapping[str, FeatureView]
    request_time: Sequence[RequestTimeFeatures] = ()
    tolerance: float = 0.0
    hidden: Redaction | None = None

    @property
    def computed(self) -> Sequence[RequestTimeFeatures]:
        """What the log has in the clear, and is computed of such alone."""
        hidden = {*with_computed(self.hidden.columns, self.request_time)} if self.hidden else set()
        return [each for each in self.request_time if hidden.isdisjoint(each.features)]


def audit(of: Audited, log: TableSnapshot, lakehouse: Lakehouse, compute: Compute) -> Skew:
    """What was found of the latest requests since the last audit, at most 5,000; where there are none, what stands.

    log: the endpoint's.
    """
    files, path = filesystem(lakehouse.files(f"{FOLDER}/{_named(of.model)}")), f"{_named(of.endpoint)}.json"
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
    tables = {relation(key): delta.existing(lakehouse.table(key)) for key in of.views}
    found = replay(requests, of, lambda asked: compute.fetch(asked, tables))
    put(files, path, json.dumps(asdict(found), default=str).encode())
    return found


def verdicts(model: str, lakehouse: Lakehouse) -> dict[str, Skew]:
    """Endpoint → what its last audit found, of every endpoint that serves the model; its key with dots for slashes."""
    files = filesystem(lakehouse.files(f"{FOLDER}/{_named(model)}"))
    found = {}
    for info in sorted(files.get_file_info(FileSelector("", allow_not_found=True)), key=lambda it: it.path):
        if info.path.endswith(".json"):
            with files.open_input_stream(info.path) as stream:
                found[info.path.removesuffix(".json")] = Skew(**json.loads(stream.read()))
    return found


def without_example(endpoint: str, model: str, lakehouse: Lakehouse) -> bool:
    """Whether the last verdict had an example; it has none any more, and else says what it said.

    endpoint, model: asset keys.
    """
    files, path = filesystem(lakehouse.files(f"{FOLDER}/{_named(model)}")), f"{_named(endpoint)}.json"
    stands = verdicts(model, lakehouse).get(_named(endpoint))
    if stands is None or not stands.example:
        return False
    put(files, path, json.dumps(asdict(replace(stands, example={})), default=str).encode())
    return True


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


def replay(requests: Sequence[Mapping[str, Any]], of: Audited, fetch: Fetch) -> Skew:
    """What differs between what was seen and what the offline path gives.

    requests: rows of a log, at least one. fetch: asks queries over the views' tables.
    Request-time features are held against what was computed by these very functions; a model that learned from other
    ones is served by those, and not asked again. A hidden number was not logged, so that it cannot differ.
    """
    moments = [row["event_time"] for row in requests]
    rows = [
        (view, _as_logged(_rows(key, view, min(moments), max(moments), fetch), of.hidden))
        for key, view in of.views.items()
    ]
    events = _events(requests, [kept for _, kept in rows])
    offline = join(events, rows, _MOMENT)
    names = [name for view in of.views.values() for name in view.features]
    looked_up, computed = offline.select(names).to_dicts(), _computed(requests, offline, of.computed)
    differing: Counter[str] = Counter()
    example: dict[str, Any] = {}
    for position, request in enumerate(requests):
        seen, now = json.loads(request["features"]), {**(looked_up[position] if names else {}), **computed[position]}
        for feature in sorted(seen.keys() & now.keys()):
            if of.hidden and feature in of.hidden.columns and seen[feature] is None:
                continue
            if not _same(seen[feature], now[feature], of.tolerance):
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


def _computed(
    requests: Sequence[Mapping[str, Any]], offline: pl.DataFrame, request_time: Sequence[RequestTimeFeatures]
) -> list[Mapping[str, Any]]:
    """For each request, the features that were computed of it by functions as they are declared, computed again."""
    found: list[Mapping[str, Any]] = [{} for _ in requests]
    if not request_time:
        return found
    functions = {version_of(each): each for each in request_time}
    groups: dict[tuple[str, ...], list[int]] = {}
    for position, request in enumerate(requests):
        by = json.loads(request["views"])
        groups.setdefault(tuple(name for name in functions if name in by), []).append(position)
    for names, positions in groups.items():
        used = [functions[name] for name in names]
        again = with_request_time(offline[positions], used, _MOMENT)
        columns = [feature for each in used for feature in each.features]
        for position, values in zip(positions, again.select(columns).to_dicts() if columns else (), strict=False):
            found[position] = values
    return found


def _rows(key: str, view: FeatureView, first: datetime, last: datetime, fetch: Fetch) -> pl.DataFrame:
    """The view's rows that a request between the two moments may use."""
    columns = ", ".join(quoted(it) for it in (*view.entity, view.event_time, view.known_at, *view.features))
    try:
        oldest = first - timedelta(hours=view.ttl_hours)
    except OverflowError:
        oldest = datetime.min.replace(tzinfo=UTC)
    since, until = (f"CAST('{moment.isoformat()}' AS TIMESTAMPTZ)" for moment in (oldest, last))
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


def _same(seen: Any, offline: Any, tolerance: float) -> bool:
    if isinstance(offline, float) and math.isnan(offline):
        return seen is None
    numbers = (int, float)
    if tolerance and isinstance(seen, numbers) and isinstance(offline, numbers):
        return math.isclose(seen, offline, rel_tol=tolerance, abs_tol=tolerance)
    return bool(seen == offline)


def _named(key: str) -> str:
    return key.replace("/", ".")
