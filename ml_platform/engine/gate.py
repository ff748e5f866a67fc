"""The gate: the rules by which a candidate may, or may not, become champion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ml_platform.engine.calibration_line import INTERCEPT, SLOPE
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.gate import GateDecision, Interval, Measured, SliceFinding
from ml_platform.records.metric import HIGHER_IS_BETTER

MEDIAN, P99, SIZE = "latency_median_ms", "latency_p99_ms", "size_mib"
LIMITED = ("expected_calibration_error", SLOPE, INTERCEPT, MEDIAN, P99, SIZE)
RESAMPLES = 2000

Verdict = tuple[bool, str]


@dataclass(frozen=True)
class Asked:
    """What has to be measured for a gate to decide; what it makes of the numbers is none of this.

    metric: the one that improvement is shown in. slices: columns; slice_metric is measured on each of their slices.
    confidence: of intervals, in 0–1.
    """

    metric: str
    confidence: float
    resamples: int
    seed: int
    slices: tuple[str, ...] = ()
    slice_metric: str = ""
    slice_min_rows: int = 0


@dataclass(frozen=True)
class SliceRule:
    """What a candidate must keep on every slice of the columns that has min_rows.

    floor: the worst value that the worse end of the metric's interval may have.
    """

    columns: tuple[str, ...]
    metric: str
    floor: float
    min_rows: int


@dataclass(frozen=True)
class GateRules:
    """What a candidate must keep.

    metric: what candidate and champion are compared by.
    floors: metric → the worst value that passes: a minimum where higher is better, a maximum where lower is.
        At least one, so that the first model does not pass unseen.
    minimum_effect: by how much the candidate must beat the champion, 0 or more: it is the lower end of the paired
        bootstrap interval that must, and at 0 it must be above 0.
    confidence: of intervals, in 0–1. seed: of the resampling.
    limits: what a version may be besides, one of LIMITED → its least and its most, None where there is none.
    """

    metric: str
    floors: Mapping[str, float]
    minimum_effect: float = 0.0
    confidence: float = 0.95
    seed: int = 0
    slices: SliceRule | None = None
    limits: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.metric, *self.floors, *([self.slices.metric] if self.slices else [])):
            if name not in HIGHER_IS_BETTER:
                raise DeclarationError(
                    f"gate metric is {name}, but no metric has that name", allowed=nearest(name, HIGHER_IS_BETTER)
                )
        for name in self.limits:
            if name not in LIMITED:
                raise DeclarationError(
                    f"gate limits {name}, but nothing of that name is measured", allowed=nearest(name, LIMITED)
                )
        if not self.floors:
            raise DeclarationError("gate floors is empty, but a first model needs a floor to be held against")
        if not self.minimum_effect >= 0:
            raise DeclarationError(f"gate minimum_effect is {self.minimum_effect}, but it is 0 or more")

    @property
    def asked(self) -> Asked:
        """What these rules have to know."""
        of = self.slices
        told = (of.columns, of.metric, of.min_rows) if of else ((), "", 0)
        return Asked(self.metric, self.confidence, RESAMPLES, self.seed, *told)


def decide(rules: GateRules, measured: Measured, *, tainted: bool = False) -> GateDecision:
    """Promoted only where every rule is kept, each told in a sentence; absent or NaN evidence keeps no rule.

    tainted: whether the champion learned from what turned out to be wrong. Then the candidate need not be better, only
    not be shown to be worse, or a refit without the wrong rows would have to beat what they gave away.
    """
    verdicts = [
        *(_floor(name, limit, measured.candidate) for name, limit in rules.floors.items()),
        *(_limit(name, bounds, measured.candidate) for name, bounds in rules.limits.items()),
        *_slices(rules, measured),
        _improvement(rules, measured, tainted=tainted),
    ]
    return GateDecision(all(kept for kept, _ in verdicts), tuple(sentence for _, sentence in verdicts), measured)


def _floor(name: str, limit: float, candidate: Mapping[str, float]) -> Verdict:
    return _limit(name, (limit, None) if HIGHER_IS_BETTER[name] else (None, limit), candidate)


def _limit(name: str, bounds: tuple[float | None, float | None], candidate: Mapping[str, float]) -> Verdict:
    low, high = bounds
    least = [] if low is None else [f"at least {low:g}"]
    most = [] if high is None else [f"at most {high:g}"]
    wanted = f"must be {' and '.join(least + most)}"
    value = candidate.get(name, math.nan)
    if math.isnan(value):
        return False, f"Broken: {name} of the candidate is not known, and {wanted}."
    kept = (low is None or value >= low) and (high is None or value <= high)
    return kept, f"{_word(kept)}: {name} of the candidate is {value:.6g}, and {wanted}."


def _slices(rules: GateRules, measured: Measured) -> Iterator[Verdict]:
    rule, found = rules.slices, measured.slices
    if rule is None:
        return
    by = f"{rule.metric} by {', '.join(rule.columns)}"
    if found is None or not found.slices:
        yield False, f"Broken: {by} is not known, for no slice has {rule.min_rows:,} rows."
        return
    higher = HIGHER_IS_BETTER[rule.metric]
    wanted = f"must be at {'least' if higher else 'most'} {rule.floor:g} on each of {found.judged} slices"
    # All that are broken are told, or that the worst is not.
    broken = [it for it in found.slices if not _reaches(it.bound, rule.floor, higher=higher)]
    told = "; ".join(_told(rule.metric, it, higher=higher) for it in broken or found.slices[:1])
    few = f" Of {found.unjudged_rows:,} rows in slices that are too small nothing is said." * bool(found.unjudged_rows)
    interval = f"in an interval of {100 * found.confidence:.4g} %"
    yield not broken, f"{_word(not broken)}: {told}, {interval}, and {wanted}.{few}"


def _reaches(bound: float, floor: float, *, higher: bool) -> bool:
    """Whether the bound is as good as the floor; one that is not known is not."""
    return bound >= floor if higher else bound <= floor


def _told(metric: str, it: SliceFinding, *, higher: bool) -> str:
    worse = f"may be as {'low' if higher else 'high'} as {it.bound:.6g}"
    bound = "has no bound that is known" if math.isnan(it.bound) else worse
    return f"{metric} of the {it.rows:,} rows where {it.column} is {it.value} is {it.estimate:.6g} and {bound}"


def _improvement(rules: GateRules, measured: Measured, *, tainted: bool) -> Verdict:
    name, ours = rules.metric, measured.candidate.get(rules.metric, math.nan)
    if math.isnan(ours):
        return False, f"Broken: {name} of the candidate is not known, and is what a champion is compared by."
    if measured.champion is None:
        return True, f"Kept: no champion stands, so {name} of the candidate, {ours:.6g}, is held against no other."
    theirs = measured.champion.get(name, math.nan)
    if math.isnan(theirs):
        return False, f"Broken: {name} of the champion is not known, so no improvement can be shown."
    told = f"{name} is {ours:.6g} against the champion's {theirs:.6g}"
    found = measured.improvement
    if found is None or math.isnan(found.low):
        return False, f"Broken: {told}, but the interval of the improvement is not known."
    if tainted:
        kept, shown = round(found.high, 12) >= 0, f"better by {found.low:.6g} to {found.high:.6g}"
        return kept, f"{_word(kept)}: {told}, {shown}, and must not be worse over all of it: the champion is tainted."
    kept = _clears(found, rules.minimum_effect)
    wanted = f"by at least {rules.minimum_effect:g}" if rules.minimum_effect > 0 else "strictly"
    within = f"better by {found.low:.6g} to {found.high:.6g} in an interval of {100 * found.confidence:g} %"
    return kept, f"{_word(kept)}: {told}, {within}, and must be better {wanted} over all of it."


def _clears(found: Interval, minimum_effect: float) -> bool:
    # Rounded, so that a difference that is exactly the minimum in decimals is not lost to binary fractions.
    low = round(found.low, 12)
    return low >= minimum_effect if minimum_effect > 0 else low > 0


def _word(kept: bool) -> str:
    return "Kept" if kept else "Broken"
