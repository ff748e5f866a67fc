"""Splits as they travel: which rows a model is fitted on, tuned on and tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NAMES = ("train", "validate", "test")


@dataclass(frozen=True)
class TimeSplit:
    """A split by time.

    by: a text column that sorts in time, for instance the month, or a timestamp. ranges: split → first and last value,
    both inside; of a timestamp a month, a day or a moment in UTC, each to its end.
    gap_hours: events that come so little before the first one of a later split are left out, so that what their
    windows and labels share with it is not learned.
    """

    by: str
    ranges: Mapping[str, tuple[str, str]]
    gap_hours: float = 0


@dataclass(frozen=True)
class HashSplit:
    """A split by a hash, the same everywhere and for all time.

    of: columns; all rows of one value of them, for instance of one entity, are in one split.
    shares: split → its share of the values, in 0–1, together 1.
    """

    of: tuple[str, ...]
    shares: Mapping[str, float]


Split = TimeSplit | HashSplit
