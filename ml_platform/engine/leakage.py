"""The leakage audit: what a sample of a training set's events would have been told, asked again by another route.

The join is Polars', over rows in memory; the audit is SQL over the pinned tables, event by event, by the words of the
rule: of a view's rows with `event_time` and `known_at` at or before the event's moment, no older than the ttl, the
latest, of these the one known last. A value that differs was not what was known then. What is computed at the time of
a request is computed again of each event by itself: what it draws from other rows, from a clock or from chance shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ml_platform.engine.plan import quoted
from ml_platform.engine.recipe import Fetch
from ml_platform.engine.request_time import computed, taken
from ml_platform.engine.sql import relation
from ml_platform.errors import AuditError
from ml_platform.records.feature import FeatureView, RequestTimeFeatures

SAMPLE = 500


@dataclass(frozen=True)
class Leakage:
    """What the audit found. events: how many were asked again. differing: feature → how many of them differ."""

    events: int
    differing: Mapping[str, int] = field(default_factory=dict)


class LeakageError(AuditError):
    """Values of a training set are not what was known at their events' moments; it was not committed."""

    def __init__(self, fault: str, found: Leakage) -> None:
        super().__init__(fault, remedy="Make the set anew; where it differs again, the join is at fault")
        self.found = found


@dataclass(frozen=True)
class Asked:
    """What is asked again.

    key: the training set's. views: asset key → view, as it was joined. request_time: as they were computed.
    size: how many events, always the same ones of the same rows.
    """

    key: str
    entity: Sequence[str]
    event_time: str
    views: Mapping[str, FeatureView]
    request_time: Sequence[RequestTimeFeatures] = ()
    size: int = SAMPLE


def require_none(asked: Asked, fetch: Fetch) -> Leakage:
    """What the audit found, which is nothing; else raises LeakageError, naming the features.

    fetch: asks queries over the pinned views and over `staged.rows`, the training set.
    """
    differing: dict[str, int] = {}
    for name, view in asked.views.items():
        (row,) = fetch(_differing(name, view, asked)).to_pylist()
        differing |= {feature: count for feature, count in row.items() if count}
    differing |= _differing_computed(asked, fetch)
    (counted,) = fetch(f"SELECT count(*) AS events FROM ({_sample(asked)}) AS asked").to_pylist()
    found = Leakage(counted["events"], differing)
    if differing:
        told = ", ".join(f"{feature} in {count}" for feature, count in sorted(differing.items()))
        raise LeakageError(
            f"{asked.key} differs from what was known at the moment of {found.events} sampled events: {told}, but "
            "nothing is learned from what was known later",
            found,
        )
    return found


def _differing_computed(asked: Asked, fetch: Fetch) -> dict[str, int]:
    """The same of what is computed: of its row's own values, a row at a time, whatever was computed before it."""
    if not asked.request_time:
        return {}
    names = dict.fromkeys([asked.event_time, *taken(asked.request_time)])
    features = [feature for each in asked.request_time for feature in each.features]
    columns = ", ".join(quoted(it) for it in (*names, *features))
    rows = fetch(f"SELECT {columns} FROM ({_sample(asked)}) AS asked").to_pylist()
    differing: Counter[str] = Counter()
    for row in rows:
        again = computed(asked.request_time, {name: [row[name]] for name in names}, [row[asked.event_time]])
        differing.update(feature for feature in features if again[feature] != [row[feature]])
    return dict(differing)


def _sample(asked: Asked) -> str:
    """The events whose hash is least, each under a number of its own."""
    parts = (*asked.entity, asked.event_time)
    name = " || '|' || ".join(f"COALESCE(CAST({quoted(it)} AS VARCHAR), '')" for it in parts)
    return (
        f'SELECT *, row_number() OVER (ORDER BY md5({name})) AS "__asked" FROM staged.rows '
        f"ORDER BY md5({name}) LIMIT {asked.size}"
    )


def _differing(key: str, view: FeatureView, asked: Asked) -> str:
    """For each of the view's features, of how many sampled events it is not what was known."""
    at, about, known = (quoted(it) for it in (asked.event_time, view.event_time, view.known_at))
    own = " AND ".join(f"v.{quoted(it)} = s.{quoted(it)}" for it in view.entity)
    seconds = round(view.ttl_hours * 3600)
    told = (
        f'SELECT s."__asked", {", ".join(f"v.{quoted(it)}" for it in view.features)}, row_number() OVER (PARTITION BY '
        f's."__asked" ORDER BY v.{about} DESC, v.{known} DESC) AS "__rank" FROM asked AS s JOIN {relation(key)} AS v '
        f"ON {own} AND v.{about} <= s.{at} AND v.{known} <= s.{at} "
        f"AND v.{about} >= s.{at} - INTERVAL {seconds} SECONDS"
    )
    counts = ", ".join(
        f"sum(CASE WHEN t.{it} IS DISTINCT FROM s.{it} THEN 1 ELSE 0 END) AS {it}"
        for it in (quoted(feature) for feature in view.features)
    )
    return (
        f"WITH asked AS ({_sample(asked)}), told AS ({told}) SELECT {counts} FROM asked AS s "
        'LEFT JOIN told AS t ON t."__asked" = s."__asked" AND t."__rank" = 1'
    )
