"""What people are told, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Notice:
    """One thing that people are told. id: the same for the same thing, so that it is told once.

    subject: one line. text: what happened, and what to do.
    """

    id: str
    severity: Severity
    subject: str
    text: str


@dataclass(frozen=True)
class Delivery:
    """What became of a notice on one channel. fault: why it was not delivered; never an address or a secret."""

    channel: str
    delivered: bool
    fault: str = ""
