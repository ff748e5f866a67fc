"""Features as they travel: the view that makes them and the answer to an online look-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ml_platform.records.model import FeatureType


@dataclass(frozen=True)
class FeatureView:
    """A table with one row per entity and event time, readable as of any moment.

    name: versioned, for instance `origin_weather_v1`; the version is part of the name, offline and online.
    entity: key columns, in order.
    features: feature columns, in order.
    ttl_hours: how long after its event time a row may be used.
    event_time, known_at: the columns that say when a row is about and when it could be known, both UTC.
    """

    name: str
    entity: tuple[str, ...]
    features: tuple[str, ...]
    ttl_hours: float
    event_time: str = "event_time"
    known_at: str = "known_at"


@dataclass(frozen=True)
class RequestTimeFeatures:
    """Features that one pure function computes of a request, a row at a time, behind every look-up.

    name: versioned, for instance `order_moment_v1`; that of the function too.
    inputs: parameter → `datetime`, `str`, `int`, `float` or `bool`, with ` | None` where it may be missing. A parameter
    is named as a column of the request, as a feature of a view or of request-time features before, or `event_time`.
    features: feature → type, in order.
    source: the text of the module that holds the function.
    """

    name: str
    inputs: Mapping[str, str]
    features: Mapping[str, FeatureType]
    source: str


@dataclass(frozen=True)
class FeatureRow:
    """The row of one entity that was usable at a moment.

    values: feature → value; every feature of the view is there.
    event_time, known_at: of the row, UTC; both None, and every value None, where no row was usable.
    """

    values: Mapping[str, object]
    event_time: datetime | None = None
    known_at: datetime | None = None


@dataclass(frozen=True)
class LookUp:
    """A question to the online store.

    keys: entities, each a value per key column, in the view's order.
    at: the moment of each entity, UTC; only what was known then is answered.
    """

    view: FeatureView
    keys: Sequence[tuple[object, ...]]
    at: Sequence[datetime]


@dataclass(frozen=True)
class PublishedView:
    """What the online store holds of a view.

    version: the name that the rows were published under. rows: how many there are.
    """

    version: str
    rows: int
