"""Idle endpoints: what is served and was not asked for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ml_platform.records.endpoint import Revision
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.prediction_log import PredictionLog

_AT_A_TIME = 50_000


@dataclass(frozen=True)
class Activity:
    """When an endpoint was last asked. last_request: UTC; None where the log has none of it. seen: the log's cursor."""

    revision: Revision
    last_request: datetime | None
    seen: int = 0


def activity(
    names: Sequence[str], host: EndpointHost, log: PredictionLog, known: Mapping[str, Activity] | None = None
) -> dict[str, Activity]:
    """Endpoint → when it was last asked, of those that serve, as they say themselves.

    known: what this gave before, from where the log is read on. A shadow's answers and requests that name a version are
    no traffic.
    """
    found = {}
    for name in names:
        revision = host.describe(name)
        if revision is None:
            continue
        before = (known or {}).get(name) or Activity(revision, None)
        found[name] = Activity(revision, *last_request(name, log, before.last_request, before.seen))
    return found


def last_request(
    endpoint: str, log: PredictionLog, last: datetime | None = None, seen: int = 0
) -> tuple[datetime | None, int]:
    """When an endpoint was last asked, and the log's cursor; None where the log has no request of it.

    last, seen: what this gave before, from where the log is read on.
    """
    while True:
        rows, seen = log.since(endpoint, seen, _AT_A_TIME)
        moments = [row.served_at for row in rows if _is_traffic(row)]
        last = max([*moments, *([last] if last else [])], default=None)
        if len(rows) < _AT_A_TIME:
            return last, seen


def idle(found: Mapping[str, Activity], now: datetime, hours: float) -> dict[str, datetime | None]:
    """Endpoint → its last request, of those that serve and have had none for so many hours; sorted by name.

    One that was never asked is idle: nobody would miss it, and a new one has its first request from whoever made it.
    """
    since = now - timedelta(hours=hours)
    return {
        name: one.last_request
        for name, one in sorted(found.items())
        if one.last_request is None or one.last_request < since
    }


def _is_traffic(record: ServedPrediction) -> bool:
    return not record.shadow and not record.named
