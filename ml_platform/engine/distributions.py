"""Distributions: a feature's training statistics, or the counts of any windows in the same bins, made comparable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from ml_platform.engine.drift import jensen_shannon, kolmogorov_smirnov, population_stability_index
from ml_platform.engine.encoding import spelled
from ml_platform.records.model import FeatureType

MISSING, UNREADABLE = -1, -2
"""The bins, beside those of a number, of what is missing and of what is no number at all."""


@dataclass(frozen=True)
class Bins:
    """How a feature is counted. edges: between the ten bins. points: where the distribution function is known.

    Of a category both are empty: its values are the bins.
    """

    kind: FeatureType
    edges: tuple[float, ...] = ()
    points: tuple[float, ...] = ()

    @property
    def cuts(self) -> tuple[float, ...]:
        """Edges and points, in order: a value's bin is the number of cuts that are less than it."""
        return tuple(sorted({*self.edges, *self.points}))


@dataclass(frozen=True)
class Distribution:
    """A feature's values in some rows, missing ones included; shares are of all rows and in 0–1.

    bins: position → share of a number's bin, value → share of a category's. below: share of the rows with a value up to
    each point. rows: None where nobody told how many.
    """

    kind: FeatureType
    rows: int | None
    null_share: float
    bins: Mapping[Any, float]
    below: tuple[float, ...] = ()
    unreadable: float = 0.0


@dataclass(frozen=True)
class Moved:
    """How one distribution stands against another. ks: None for a category. new: values that only the other has."""

    psi: float
    ks: float | None
    jensen_shannon: float
    null_share: float
    new_share: float | None
    new: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """Rows by bin: the number of cuts below a value, or the value of a category; MISSING and UNREADABLE beside."""

    by_bin: Mapping[Any, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.by_bin.values())


def bins_of(statistics: Mapping[str, Any]) -> Bins:
    """How a feature is counted, by its training statistics; those of an older package have edges for points.

    >>> bins_of({"type": "number", "edges": [1.0], "shares": [0.5, 0.5], "null_share": 0.0}).points
    (1.0,)
    """
    if statistics["type"] == "category":
        return Bins("category")
    edges = tuple(statistics["edges"])
    return Bins("number", edges, tuple(statistics.get("points", edges)))


def trained(statistics: Mapping[str, Any], rows: int | None = None) -> Distribution:
    """The training set's distribution, by its statistics."""
    null_share, shares = float(statistics["null_share"]), statistics["shares"]
    if statistics["type"] == "category":
        return Distribution("category", rows, null_share, dict(shares))
    below = statistics.get("below")
    if below is None:
        present = max(1.0 - null_share, 1e-12)
        below = [up_to / present for up_to in accumulate(shares)][: len(statistics["edges"])]
    return Distribution("number", rows, null_share, dict(enumerate(shares)), tuple(below))


def added(counts: Iterable[Counts]) -> Counts:
    """The counts of several windows as one."""
    total: Counter[Any] = Counter()
    for one in counts:
        total.update(one.by_bin)
    return Counts(dict(total))


def counted(bins: Bins, counts: Counts) -> Distribution:
    """The distribution that the counts of a window amount to."""
    rows = max(counts.rows, 1)
    missing, unreadable = (counts.by_bin.get(place, 0) for place in (MISSING, UNREADABLE))
    present = {place: many for place, many in counts.by_bin.items() if place not in (MISSING, UNREADABLE)}
    null_share = (missing + unreadable) / rows
    if bins.kind == "category":
        by_value: Counter[str] = Counter()
        for value, many in present.items():
            by_value[spelled(value)] += many
        shares = {value: many / rows for value, many in sorted(by_value.items())}
        return Distribution("category", counts.rows, null_share, shares)
    up_to = list(accumulate(present.get(place, 0) for place in range(len(bins.cuts) + 1)))
    edges, points = (_up_to(bins, up_to, cuts) for cuts in (bins.edges, bins.points))
    filled = np.diff([0, *edges, up_to[-1]]) / rows
    below = tuple(many / max(up_to[-1], 1) for many in points)
    return Distribution("number", counts.rows, null_share, dict(enumerate(filled.tolist())), below, unreadable / rows)


def moved(before: Distribution, after: Distribution) -> Moved:
    """How the one stands against the other; missing values are a bin of their own, and so is what is new.

    Half the rows UA and half AA, of which two in ten become DL, whose expected share counts as 0.0001:

    >>> found = moved(Distribution("category", 10, 0.0, {"AA": 0.5, "UA": 0.5}),
    ...               Distribution("category", 10, 0.0, {"AA": 0.4, "DL": 0.2, "UA": 0.4}))
    >>> round(found.psi, 4), found.new_share, found.new
    (1.564, 0.2, ('DL',))
    """
    new = tuple(name for name in after.bins if name not in before.bins) if before.kind == "category" else ()
    new_share = float(sum(after.bins[name] for name in new))
    places = list(before.bins)
    expected = [*(before.bins[place] for place in places), 0.0, before.null_share]
    actual = [*(after.bins.get(place, 0.0) for place in places), new_share, after.null_share]
    # No row of either is no bin.
    kept = [place for place, shares in enumerate(zip(expected, actual, strict=True)) if any(shares)]
    first, second = [expected[place] for place in kept], [actual[place] for place in kept]
    number = before.kind == "number"
    return Moved(
        population_stability_index(first, second),
        kolmogorov_smirnov(before.below, after.below) if number and before.below else 0.0 if number else None,
        jensen_shannon(first, second),
        after.null_share,
        None if number else new_share,
        new,
    )


def _up_to(bins: Bins, up_to: Sequence[int], some: Sequence[float]) -> list[int]:
    """The rows up to each of some of the cuts."""
    place = {cut: position for position, cut in enumerate(bins.cuts)}
    return [up_to[place[cut]] for cut in some]
