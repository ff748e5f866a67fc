"""Retraining as it is decided: the policy, what is known, and the decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ml_platform.records.monitor import Family

Outcome = Literal["nothing", "retrain", "wait", "incident"]


@dataclass(frozen=True)
class Policy:
    """When a model is learned anew. when: the families of findings that ask for it.

    minimum_new_labels: labels that came and no version learned from. cooldown_hours: between requests.
    per_month: requests in one calendar month, UTC.
    """

    when: tuple[Family, ...] = ("drift", "quality")
    minimum_new_labels: int = 1000
    cooldown_hours: float = 168.0
    per_month: int = 2


@dataclass(frozen=True)
class Evidence:
    """What is known when it is decided.

    asking: a sentence for each family that asks for a retrain; broken: a sentence for each that says the input is.
    new_labels: that no version learned from. champion: its version's number. requested: the moments of all requests so
    far; latest: the moment of the last decision of any kind. running: whether a retrain is on its way.
    """

    now: datetime
    asking: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    new_labels: int = 0
    champion: int = 0
    requested: tuple[datetime, ...] = ()
    latest: datetime | None = None
    running: bool = False


@dataclass(frozen=True)
class Decision:
    """What was decided, and every reason in a sentence. number: from 1, in the order in which they were made."""

    number: int
    at: datetime
    outcome: Outcome
    reasons: tuple[str, ...]
    champion: int
    new_labels: int
