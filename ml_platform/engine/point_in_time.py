"""The point-in-time join: for every event, each feature view's row as it was known at that moment.

A row of a view can be used from the later of its event time and its known at, for as long as its ttl after its event
time. Of the rows that can be used at a moment, the one with the latest event time is; of those, the one known last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from ml_platform.engine.request_time import computed, taken
from ml_platform.errors import AuditError
from ml_platform.records.feature import FeatureView, RequestTimeFeatures

_ROW, _USABLE, _EVENT = "__row", "__usable_from", "__event_time"


def join(
    events: pl.DataFrame,
    views: Sequence[tuple[FeatureView, pl.DataFrame]],
    event_time: str,
    request_time: Sequence[RequestTimeFeatures] = (),
) -> pl.DataFrame:
    """The events, row for row in their order, with the features of every view, and behind them those of request time.

    events: any grain; `event_time` is the moment of each, UTC. Equal events each keep a row.
    views: in the order in which they are joined; a view may be keyed by features of an earlier one.
    request_time: computed of the joined rows, in their order.
    Raises ComputationError as `request_time.computed` does; AuditError for a key that neither the events nor an earlier
    view have, or that is of another type there, for a feature that would replace a column, for an event without a
    moment or with one in local time, and for a view's row that does not say when it is about or was known.
    """
    _require_moments(events, "the events", event_time)
    ordered = events[event_time].is_sorted()
    joined = events if ordered else events.with_row_index(_ROW).sort(event_time)
    for view, rows in views:
        _require_columns(joined, view)
        _require_types(joined, view, rows)
        _require_moments(rows, view.name, view.event_time)
        _require_moments(rows, view.name, view.known_at)
        joined = _as_of(joined, view, rows, event_time)
    return with_request_time(joined if ordered else joined.sort(_ROW).drop(_ROW), request_time, event_time)


def with_request_time(rows: pl.DataFrame, request_time: Sequence[RequestTimeFeatures], event_time: str) -> pl.DataFrame:
    """The rows with the features that are computed of them. Raises as `join`."""
    for name in taken(request_time):
        if name not in rows.columns:
            raise AuditError(
                f"{name} is taken by a request-time feature, but neither the events nor a view have it",
                allowed=f"There are {', '.join(rows.columns)}",
                remedy="List the view that gives it, or keep the column with the events",
            )
    columns = {name: rows[name].to_list() for name in taken(request_time)}
    found = computed(request_time, columns, rows[event_time].to_list() if request_time else ())
    kinds = {name: kind for each in request_time for name, kind in each.features.items()}
    _require_new(rows, kinds)
    return rows.with_columns(
        pl.Series(name, values, pl.Float64 if kinds[name] == "number" else pl.String) for name, values in found.items()
    )


def _as_of(events: pl.DataFrame, view: FeatureView, rows: pl.DataFrame, event_time: str) -> pl.DataFrame:
    """The events, which come in the order of their moments, with one view's features."""
    told = rows.select(*view.entity, view.event_time, view.known_at, *view.features).drop_nulls(list(view.entity))
    at_once = told.select((pl.col(view.event_time) == pl.col(view.known_at)).all()).item()
    history = _of_punctual(told, view) if at_once else _of_any(told, view)
    found = events.join_asof(
        history,
        left_on=event_time,
        right_on=_USABLE,
        by=list(view.entity),
        strategy="backward",
        coalesce=True,
        check_sortedness=False,
    )
    fresh = pl.col(_EVENT) >= pl.col(event_time) - pl.duration(microseconds=round(view.ttl_hours * 3_600_000_000))
    return found.with_columns(pl.when(fresh).then(pl.col(feature)).alias(feature) for feature in view.features).select(
        *events.columns, *view.features
    )


def _of_punctual(told: pl.DataFrame, view: FeatureView) -> pl.DataFrame:
    """The rows in the order in which they can be used, where each is known when its event is: the order of events."""
    usable = told.drop(view.known_at).rename({view.event_time: _USABLE})
    ordered = usable if usable[_USABLE].is_sorted() else usable.sort(_USABLE)
    return ordered.with_columns(pl.col(_USABLE).alias(_EVENT))


def _of_any(told: pl.DataFrame, view: FeatureView) -> pl.DataFrame:
    """The same of any rows; one that a later event time outdates is never reached."""
    return (
        told.with_columns(pl.max_horizontal(view.event_time, view.known_at).alias(_USABLE))
        .sort(_USABLE, view.event_time, view.known_at, maintain_order=True)
        .filter(pl.col(view.event_time) >= pl.col(view.event_time).cum_max().over(view.entity))
        .unique([*view.entity, _USABLE], keep="last", maintain_order=True)
        .rename({view.event_time: _EVENT})
        .drop(view.known_at)
    )


def _require_moments(rows: pl.DataFrame, of: str, column: str) -> None:
    kind = rows.schema.get(column)
    if not isinstance(kind, pl.Datetime) or kind.time_zone != "UTC":
        raise AuditError(
            f"{column} of {of} is a {kind}, but what is known is known as of a moment",
            allowed="A moment is a timestamp in UTC",
            remedy="Say its zone, for instance dt.replace_time_zone('America/New_York'), and take it to UTC with "
            "dt.convert_time_zone('UTC')",
        )
    nulls = rows[column].null_count()
    if nulls:
        raise AuditError(
            f"{column} is NULL in {nulls} rows of {of}, but what is known is known as of a moment",
            remedy="Leave these rows out, or give them one",
        )


def _require_columns(events: pl.DataFrame, view: FeatureView) -> None:
    missing = [column for column in view.entity if column not in events.columns]
    if missing:
        raise AuditError(
            f"{view.name} is keyed by {', '.join(missing)}, but neither the events nor an earlier view have it",
            allowed=f"There are {', '.join(events.columns)}",
            remedy="List the view that gives the key before it",
        )
    _require_new(events, view.features, view.name)


def _require_types(events: pl.DataFrame, view: FeatureView, rows: pl.DataFrame) -> None:
    for column in view.entity:
        asked, known = events.schema[column], rows.schema[column]
        if asked != known:
            raise AuditError(
                f"{column} of the events is a {asked}, but {view.name} is keyed by a {known}, and they never meet",
                remedy="Make them of one type",
            )


def _require_new(rows: pl.DataFrame, features: Iterable[str], view: str = "a function") -> None:
    twice = [feature for feature in features if feature in rows.columns]
    if twice:
        raise AuditError(
            f"{view} gives {', '.join(twice)}, but the events or an earlier view have that column already",
            remedy="Rename the feature in the view",
        )
