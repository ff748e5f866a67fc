"""A training set as it is made: labelled events, a few days at a time, joined with what was known of them.

Only the events of some days are held at a time, and of each view the rows that these can use: memory follows from the
busiest day and the longest ttl, not from how many years there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa

from ml_platform.engine.plan import quoted
from ml_platform.engine.point_in_time import join
from ml_platform.engine.recipe import Fetch
from ml_platform.engine.split import assign, first_events
from ml_platform.engine.sql import relation
from ml_platform.errors import AuditError, nearest
from ml_platform.records.feature import FeatureView, RequestTimeFeatures
from ml_platform.records.split import Split, TimeSplit

KNOWN_AT = "known_at"
_EVENTS_AT_A_TIME = 200_000


@dataclass(frozen=True)
class Question:
    """What is learned from.

    events: asset key of the table with one row per event. columns: what is taken of it: the event's name, its moment,
    the label, and what the split is by. where: predicate on it.
    views: asset key → view, in the order of the join; a view may be keyed by features of an earlier one.
    request_time: asset key → features that are computed of each joined row, in order.
    """

    events: str
    columns: tuple[str, ...]
    entity: tuple[str, ...]
    event_time: str
    label: str
    split: Split
    views: Mapping[str, FeatureView] = field(default_factory=dict)
    where: str | None = None
    at_a_time: int = _EVENTS_AT_A_TIME
    request_time: Mapping[str, RequestTimeFeatures] = field(default_factory=dict)


def parts(question: Question, fetch: Fetch) -> Iterator[pa.Table]:
    """The training set in the order of event time and entity, a part at a time; equal events each keep a row.

    Raises AuditError for events without a moment in UTC, for a label that was known before its event, for a split
    without an event, and for what cannot be joined.
    """
    columns = _columns(question, fetch)
    days = _days(question, fetch)
    starts = _starts(question, fetch)
    counts: Counter[str] = Counter()
    for since, until in _cut(days, question.at_a_time):
        events = assign(_events(question, columns, since, until, fetch), question.split, question.event_time, starts)
        _require_label_after(question, events)
        counts.update(events["split"].to_list())
        rows = [(view, _rows(key, view, since, until, fetch)) for key, view in question.views.items()]
        ordered = events.sort(question.event_time, *question.entity, maintain_order=True)
        yield join(ordered, rows, question.event_time, [*question.request_time.values()]).to_arrow()
    _require_rows(question, counts)


def _columns(question: Question, fetch: Fetch) -> list[str]:
    """What is taken of the events; when the label could be known, where they say so."""
    names = fetch(f"SELECT * FROM {relation(question.events)} LIMIT 0").schema.names
    lacking = [column for column in question.columns if column not in names]
    if lacking:
        raise AuditError(
            f"{question.events} has no column {', '.join(lacking)}, but a training set is made from it",
            allowed=nearest(lacking[0], names),
        )
    return list(dict.fromkeys([*question.columns, *([KNOWN_AT] if KNOWN_AT in names else [])]))


def _days(question: Question, fetch: Fetch) -> Sequence[tuple[datetime, int]]:
    """Each day that has events, and how many."""
    day = f"date_trunc('day', {quoted(question.event_time)})"
    found = fetch(f"SELECT {day} AS day, count(*) AS events FROM {_filtered(question)} GROUP BY {day} ORDER BY day")
    kind = found.schema.field("day").type
    if not (pa.types.is_timestamp(kind) and kind.tz):
        raise AuditError(
            f"{question.event_time} of {question.events} is a {kind}, a local time, but what was known is known as of "
            "a moment",
            allowed="A moment is a timestamp with a time zone, kept in UTC",
            remedy="Say its zone in the query, for instance local AT TIME ZONE 'America/New_York'",
        )
    days = [(row["day"], row["events"]) for row in found.to_pylist()]
    if nameless := sum(count for day, count in days if day is None):
        raise AuditError(
            f"{question.event_time} is NULL in {nameless} rows of {question.events}, but what is known is known as of "
            "a moment",
            remedy="Leave these rows out, or give them one",
        )
    return days


def _cut(days: Sequence[tuple[datetime, int]], size: int) -> Iterator[tuple[datetime, datetime]]:
    """Stretches of days of at most `size` events, or of one day: the first moment of each and the first behind it."""
    held: list[datetime] = []
    events = 0
    for day, count in days:
        if held and events + count > size:
            yield held[0], day
            held, events = [], 0
        held.append(day)
        events += count
    if held:
        yield held[0], held[-1] + timedelta(days=1)


def _starts(question: Question, fetch: Fetch) -> Mapping[str, datetime | None] | None:
    split = question.split
    if not (isinstance(split, TimeSplit) and split.gap_hours):
        return None
    kind = fetch(f"SELECT {quoted(split.by)} FROM {relation(question.events)} LIMIT 0").schema.field(split.by).type
    columns = first_events(split, question.event_time, timestamps=pa.types.is_timestamp(kind))
    (starts,) = fetch(f"SELECT {columns} FROM {_filtered(question)}").to_pylist()
    return starts  # type: ignore[no-any-return]


def _events(question: Question, columns: Sequence[str], since: datetime, until: datetime, fetch: Fetch) -> pl.DataFrame:
    at = quoted(question.event_time)
    named = ", ".join(quoted(column) for column in columns)
    query = f"SELECT {named} FROM {_filtered(question)} WHERE {at} >= {_at(since)} AND {at} < {_at(until)}"
    return pl.DataFrame(pl.from_arrow(fetch(query)))


def _rows(key: str, view: FeatureView, since: datetime, until: datetime, fetch: Fetch) -> pl.DataFrame:
    """The view's rows that an event of these days may use."""
    columns = (*view.entity, view.event_time, view.known_at, *view.features)
    oldest = since - timedelta(hours=view.ttl_hours)
    event_time, known_at = quoted(view.event_time), quoted(view.known_at)
    # A row without a moment is fetched, so that the join can refuse it.
    usable = (
        f"({event_time} >= {_at(oldest)} AND {event_time} < {_at(until)} AND {known_at} < {_at(until)}) "
        f"OR {event_time} IS NULL OR {known_at} IS NULL"
    )
    query = f"SELECT {', '.join(quoted(column) for column in columns)} FROM {relation(key)} WHERE {usable}"
    return pl.DataFrame(pl.from_arrow(fetch(query)))


def _filtered(question: Question) -> str:
    where = f" WHERE ({question.where}\n)" if question.where else ""
    return f"(SELECT * FROM {relation(question.events)}{where}) AS events"


def _at(moment: datetime) -> str:
    return f"CAST('{moment.isoformat()}' AS TIMESTAMPTZ)"


def _require_label_after(question: Question, events: pl.DataFrame) -> None:
    if KNOWN_AT not in events.columns or question.event_time == KNOWN_AT:
        return
    early = events.filter(pl.col(question.label).is_not_null() & (pl.col(KNOWN_AT) < pl.col(question.event_time)))
    if early.height:
        raise AuditError(
            f"{question.label} was known before {question.event_time} in {early.height} rows of {question.events}, but "
            f"an answer comes after its question, unlike that of {early.row(0)[: len(question.entity)]}",
            remedy="Mend the event's moment or known_at, or leave these rows out with where",
        )


def _require_rows(question: Question, counts: Mapping[str, int]) -> None:
    split = question.split
    for name in split.ranges if isinstance(split, TimeSplit) else split.shares:
        if not counts.get(name):
            raise AuditError(
                f"the split {name} has no event of {question.events}, but a model needs rows in each",
                remedy="Mend split in the training set's defs.yaml, or make the events of that period",
            )
