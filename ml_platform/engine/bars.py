"""Bars: a distribution beside its baseline, as shares that a person can compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ml_platform.engine.distributions import Bins, Distribution

_MOST_BARS = 20


def bars(
    bins: Bins, before: Distribution | None, after: Distribution
) -> tuple[list[str], list[float] | None, list[float]]:
    """The names of the bars, and the shares of the baseline and of the window; what is missing comes last."""
    if bins.kind == "category":
        known = dict(before.bins) if before else {}
        values = sorted({*known, *after.bins}, key=lambda value: (-known.get(value, 0.0), -after.bins.get(value, 0.0)))
        shown, rest = values[:_MOST_BARS], values[_MOST_BARS:]
        names = [*map(str, shown), *(["others"] if rest else [])]

        def shares(of: Mapping[object, float]) -> list[float]:
            return [of.get(value, 0.0) for value in shown] + ([sum(of.get(v, 0.0) for v in rest)] if rest else [])

        first, second = shares(known) if before else None, shares(after.bins)
    else:
        names, first, second = _even(bins, before, after)
    if after.null_share or (before and before.null_share):
        names, second = [*names, "missing"], [*second, after.null_share]
        first = [*first, before.null_share] if first is not None and before else first
    return names, first, second


def _even(
    bins: Bins, before: Distribution | None, after: Distribution
) -> tuple[list[str], list[float] | None, list[float]]:
    """A number's shares in bars of one width, from the first to the last point; those of a few values as they are."""
    points = bins.points
    if not points:
        return ["any value"], [1.0 - before.null_share] if before else None, [1.0 - after.null_share]
    if len(points) <= _MOST_BARS:
        names, cut = [*(f"≤ {point:.4g}" for point in points), f"> {points[-1]:.4g}"], list(points)
    else:
        width = (points[-1] - points[0]) / _MOST_BARS
        cut = [points[0] + width * place for place in range(1, _MOST_BARS)]
        names = [f"{points[0]:.4g}", *(f"to {edge:.4g}" for edge in cut[1:]), f"{points[-1]:.4g}"]
    return names, _shares(points, before, cut) if before else None, _shares(points, after, cut)


def _shares(points: Sequence[float], of: Distribution, cut: Sequence[float]) -> list[float]:
    """The shares between cuts, the distribution function drawn straight between points."""
    up_to = np.interp(cut, points, of.below) * (1.0 - of.null_share)
    filled = np.diff([0.0, *up_to, 1.0 - of.null_share])
    return [max(float(share), 0.0) for share in filled]
