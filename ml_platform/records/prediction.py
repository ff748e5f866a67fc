"""One served prediction, as its log keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ServedPrediction:
    """One row of one request, answered or failed.

    request_id: unique for each row that was answered; the shadow's answer to a row has the same one.
    served_at: when it was answered; event_time: the moment that it is about; both UTC.
    inputs: what the request carried. features: what the model saw, look-ups included.
    views: feature view → event time of the row used, ISO 8601, or None where no row was usable. Request-time features
    are there by name and digest, without a time.
    output: the model's answer, a probability in 0–1, a value, or class → probability. latency_ms: inside the server.
    error: why there is no answer: no output and no features then; empty where there is one.
    shadow: whether a version that only listens gave it. named: whether the request named the version, as a check of
    parity does; the split chose it otherwise. What is neither is traffic.
    """

    request_id: str
    endpoint: str
    revision: int
    model_version: int
    served_at: datetime
    event_time: datetime
    inputs: Mapping[str, Any]
    features: Mapping[str, Any]
    views: Mapping[str, str | None]
    output: float | Mapping[str, float]
    latency_ms: float
    error: str = ""
    shadow: bool = False
    named: bool = False
