"""Data drift: how far a distribution has moved, and the training statistics that windows are compared with.

A number is binned once, by the training set: `edges` cut it into ten bins of about equal rows, for the index and the
divergence, and `points` at each hundredth, for the largest distance between the distribution functions. A window is
then counts in these bins, whatever its size: they add up, and of any two windows the statistics follow from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_platform.engine.encoding import Column, spelled

DriftState = Literal["steady", "drifted", "not enough data"]

BINS = 10
POINTS = 100
_LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class DriftRules:
    """When a feature counts as drifted.

    psi: population stability index from which it does; 0.25 is the usual mark of a major shift.
    null_share: rise of the share of missing values from which it does, in 0–1.
    minimum_rows: rows below which nothing is concluded.
    """

    psi: float = 0.25
    null_share: float = 0.1
    minimum_rows: int = 500


@dataclass(frozen=True)
class Drift:
    """How one feature of a window stands against its baseline.

    psi: population stability index, 0 or more; null share and new categories included. None for an empty window.
    null_share, baseline_null_share: shares of missing values in 0–1; null_share is None for an empty window.
    new_categories: values that training never saw, sorted.
    """

    feature: str
    psi: float | None
    null_share: float | None
    baseline_null_share: float
    new_categories: tuple[str, ...]
    rows: int
    state: DriftState


def population_stability_index(expected: ArrayLike, actual: ArrayLike) -> float:
    """The symmetric divergence of two distributions over the same bins, 0 where they agree.

    Siddiqi, Credit Risk Scorecards (2006): the sum of (actual - expected) · ln(actual / expected).
    expected, actual: shares in 0–1; a share below 0.0001 counts as 0.0001, so that an empty bin stays finite.

    -0.1 · ln(0.4 / 0.5) + 0.1 · ln(0.6 / 0.5):

    >>> round(population_stability_index([0.5, 0.5], [0.4, 0.6]), 4)
    0.0405
    """
    before = np.maximum(np.asarray(expected, dtype=np.float64), _LEAST_SHARE)
    after = np.maximum(np.asarray(actual, dtype=np.float64), _LEAST_SHARE)
    return float(np.sum((after - before) * np.log(after / before)))


def kolmogorov_smirnov(before: ArrayLike, after: ArrayLike) -> float:
    """The largest distance in 0–1 between two distribution functions, at the points where both are known.

    Massey, Journal of the American Statistical Association 46 (1951). Between points it may be larger, by no more than
    the largest share of a sample that lies strictly between two of them: at hundredths of the training set, 0.01.
    before, after: the shares up to each point. No p-value: at the rows of a window any difference is significant.

    >>> kolmogorov_smirnov([0.5, 1.0], [0.2, 0.9])
    0.3
    """
    distance = np.abs(np.asarray(before, dtype=np.float64) - np.asarray(after, dtype=np.float64))
    return float(distance.max(initial=0.0))


def jensen_shannon(before: ArrayLike, after: ArrayLike) -> float:
    """The distance of two distributions over the same bins, 0 where they agree and 1 where they share none.

    Endres and Schindelin, IEEE Transactions on Information Theory 49 (2003): the square root of the Jensen-Shannon
    divergence, in bits. before, after: shares that sum to 1.

    >>> jensen_shannon([1.0, 0.0], [0.0, 1.0])
    1.0
    """
    p, q = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    middle = (p + q) / 2
    halves = [np.sum(part[part > 0] * np.log2(part[part > 0] / middle[part > 0])) for part in (p, q)]
    return float(np.sqrt(max(sum(halves) / 2, 0.0)))


def number_statistics(values: NDArray[np.float64]) -> dict[str, Any]:
    """The statistics of a number: `edges` between bins of about equal rows, `shares` of all rows, `null_share`.

    values: NaN where missing. A bin holds what is above its lower and up to its upper edge; the outer two are open.
    Values that many rows share make fewer bins. `below` is the share of the rows that have a value up to each of the
    `points`.

    >>> found = number_statistics(np.array([0.0, 0.0, 0.0, 1.0, np.nan]))
    >>> found["edges"], found["shares"], found["null_share"], found["points"], found["below"]
    ([0.0, 1.0], [0.6, 0.2, 0.0], 0.2, [0.0, 1.0], [0.75, 1.0])
    """
    present = values[~np.isnan(values)]
    edges, points = (_quantiles(present, parts) for parts in (BINS, POINTS))
    if len(edges) == 1:
        # A constant needs a bin of its own, or a move to either side would go unseen.
        edges = np.array([np.nextafter(edges[0], -np.inf), edges[0]])
    shares, null_share = _number_shares(edges, values)
    below = np.searchsorted(np.sort(present), points, side="right") / max(len(present), 1)
    told = {"edges": edges.tolist(), "shares": shares, "points": points.tolist(), "below": below.tolist()}
    return {"type": "number", **told, "null_share": null_share}


def _quantiles(present: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    at = np.arange(1, parts) / parts
    return np.unique(np.quantile(present, at, method="higher")) if len(present) else present


def category_statistics(values: Column) -> dict[str, Any]:
    """The statistics of a category: `shares` of all rows by value, and `null_share`.

    >>> category_statistics(["UA", "UA", "AA", None])
    {'type': 'category', 'shares': {'AA': 0.25, 'UA': 0.5}, 'null_share': 0.25}
    """
    shares, null_share = _category_shares(values)
    return {"type": "category", "shares": shares, "null_share": null_share}


def measure(feature: str, statistics: Mapping[str, Any], window: Column, rules: DriftRules) -> Drift:
    """How the window's values of one feature stand against its statistics; missing values are a bin of their own.

    statistics: as number_statistics or category_statistics made them.
    window: numbers with NaN or None where missing, or categories with None where missing.
    """
    before = float(statistics["null_share"])
    if len(window) == 0:
        return Drift(feature, None, None, before, (), 0, "not enough data")
    expected, actual, after, new = _shares(statistics, window)
    psi = population_stability_index([*expected, before], [*actual, after])
    # Compared after rounding, so that a rise by exactly the limit does not hang on binary fractions.
    drifted = psi >= rules.psi or round(after - before, 12) >= rules.null_share
    state: DriftState = "drifted" if drifted else "steady"
    if len(window) < rules.minimum_rows:
        state = "not enough data"
    return Drift(feature, psi, after, before, new, len(window), state)


def _shares(
    statistics: Mapping[str, Any], window: Column
) -> tuple[Sequence[float], Sequence[float], float, tuple[str, ...]]:
    """Expected and actual shares bin by bin, the window's null share, and its new categories."""
    if statistics["type"] == "number":
        actual, null_share = _number_shares(np.asarray(statistics["edges"]), np.asarray(window, dtype=np.float64))
        return statistics["shares"], actual, null_share, ()
    known: Mapping[str, float] = statistics["shares"]
    seen, null_share = _category_shares(window)
    new = tuple(value for value in seen if value not in known)
    # What training never saw is one bin, whose expected share is none.
    actual = [*(seen.get(value, 0.0) for value in known), sum(seen[value] for value in new)]
    return [*known.values(), 0.0], actual, null_share, new


def _number_shares(edges: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[list[float], float]:
    present = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    rows = max(len(values), 1)
    return (counts / rows).tolist(), (len(values) - len(present)) / rows


def _category_shares(values: Column) -> tuple[dict[str, float], float]:
    # NaN is the one value that differs from itself.
    counts = Counter(spelled(value) for value in values if value is not None and value == value)
    rows = max(len(values), 1)
    return {value: counts[value] / rows for value in sorted(counts)}, (rows - counts.total()) / rows
