"""Idle endpoints: when what is served was last asked, as its log says."""

from __future__ import annotations

from datetime import datetime

from ml_platform.roles.prediction_log import PredictionLog

_AT_A_TIME = 50_000


def last_request(endpoint: str, log: PredictionLog) -> datetime | None:
    """When an endpoint was last asked, UTC; None where the log has no request of it.

    A shadow's answers are no traffic, nor is what names its version, as a rollout does to compare answers.
    """
    cursor, last = 0, None
    while True:
        records, cursor = log.since(endpoint, cursor, _AT_A_TIME)
        moments = [one.served_at for one in records if not (one.shadow or one.named)]
        last = max([*moments, *([last] if last else [])], default=None)
        if len(records) < _AT_A_TIME:
            return last
