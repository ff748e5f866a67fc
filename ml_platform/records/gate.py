"""What a gate finds: the numbers of candidate and champion on one snapshot, and what was decided by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    """A value and the bounds that resampling the rows puts around it; NaN where it cannot be told.

    confidence: the share in 0–1 of such intervals that hold the true value.
    """

    estimate: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class SliceFinding:
    """The candidate's metric on a part of the rows.

    column, value: what its rows have in common. bound: the worse end of the metric's interval.
    """

    column: str
    value: str
    rows: int
    estimate: float
    bound: float


@dataclass(frozen=True)
class SliceFindings:
    """The candidate's metric on every slice that has enough rows.

    slices: the worst bound first, unknown ones before all; no more than 10 are kept. judged: how many there were.
    unjudged_rows: in slices with too few rows, even all of a column's together. confidence: of each one's bound, by
    which all bounds hold at once with the gate's own.
    """

    slices: tuple[SliceFinding, ...]
    judged: int
    unjudged_rows: int
    confidence: float


@dataclass(frozen=True)
class Measured:
    """What a gate decides by, all of it on the same rows.

    candidate: name → value: the metrics of the task, and what a version is besides (calibration, latency, size).
    champion: the same of the champion; None where none stands.
    improvement: of the candidate over the champion in the gate's metric, above 0 where it is better.
    """

    candidate: Mapping[str, float]
    champion: Mapping[str, float] | None = None
    improvement: Interval | None = None
    slices: SliceFindings | None = None


@dataclass(frozen=True)
class GateDecision:
    """What a gate found.

    promoted: whether the candidate may become champion. reasons: one sentence for each rule, kept or broken.
    """

    promoted: bool
    reasons: tuple[str, ...]
    measured: Measured = field(default_factory=lambda: Measured({}))
