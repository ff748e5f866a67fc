"""Taints as they travel: what turned out to be wrong, why, and where the walk to all that was made of it begins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Seeds:
    """Where a walk begins.

    files: table → its data files. versions: table → version → the partitions of it that are meant; None for all.
    """

    files: Mapping[str, Collection[str]] = field(default_factory=dict)
    versions: Mapping[str, Mapping[int, Collection[str] | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Taint:
    """One thing that turned out to be wrong.

    subject: what a person calls it, `silver/flights@3` or `file:departures/2013-01.csv`; never a value of a row.
    why: in the words of whoever said so. at: when, UTC.
    reached: table → data files that the walk had reached by then; it begins at them too, for logs get shorter.
    """

    subject: str
    why: str
    at: datetime
    seeds: Seeds
    reached: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """A taint that reached a model version, and the way: tables and versions, from what it pins to what is wrong."""

    taint: Taint
    way: tuple[tuple[str, int], ...]

    @property
    def steps(self) -> str:
        """The way as people read it."""
        return " ← ".join(f"{key} version {version}" for key, version in self.way)

    @property
    def told(self) -> str:
        """What is wrong, and the way, in a sentence without its full stop."""
        return f"{self.taint.subject} is wrong ({self.taint.why}), and was read by way of {self.steps}"
