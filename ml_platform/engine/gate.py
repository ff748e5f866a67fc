"""The gate: the rules by which a candidate may, or may not, become champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.metric import HIGHER_IS_BETTER
from ml_platform.records.model import GateDecision


@dataclass(frozen=True)
class GateRules:
    """What a candidate must keep.

    metric: what candidate and champion are compared by.
    floors: metric → the worst value that passes: a minimum where higher is better, a maximum where lower is.
        At least one, so that the first model does not pass unseen.
    minimum_effect: by how much the candidate must beat the champion, 0 or more; at 0 it must be strictly better.
    """

    metric: str
    floors: Mapping[str, float]
    minimum_effect: float = 0.0

    def __post_init__(self) -> None:
        for name in (self.metric, *self.floors):
            if name not in HIGHER_IS_BETTER:
                raise DeclarationError(
                    f"gate metric is {name}, but no metric has that name", allowed=nearest(name, HIGHER_IS_BETTER)
                )
        if not self.floors:
            raise DeclarationError("gate floors is empty, but a first model needs a floor to be held against")
        if not self.minimum_effect >= 0:
            raise DeclarationError(f"gate minimum_effect is {self.minimum_effect}, but it is 0 or more")


def decide(rules: GateRules, candidate: Mapping[str, float], champion: Mapping[str, float] | None) -> GateDecision:
    """Promoted only where every rule is kept, each told in a sentence; absent or NaN evidence keeps no rule.

    candidate, champion: metric → value, both on one snapshot; champion is None where none stands.
    """
    verdicts = [_floor(name, limit, candidate) for name, limit in rules.floors.items()]
    verdicts.append(_improvement(rules, candidate, champion))
    return GateDecision(
        promoted=all(kept for kept, _ in verdicts),
        reasons=tuple(sentence for _, sentence in verdicts),
        candidate=dict(candidate),
        champion=dict(champion or {}),
    )


def _floor(name: str, limit: float, candidate: Mapping[str, float]) -> tuple[bool, str]:
    bound = "at least" if HIGHER_IS_BETTER[name] else "at most"
    value = candidate.get(name, math.nan)
    if math.isnan(value):
        return False, f"Broken: {name} of the candidate is not known, and must be {bound} {limit:g}."
    kept = value >= limit if HIGHER_IS_BETTER[name] else value <= limit
    return kept, f"{_word(kept)}: {name} of the candidate is {value:.6g}, and must be {bound} {limit:g}."


def _improvement(
    rules: GateRules, candidate: Mapping[str, float], champion: Mapping[str, float] | None
) -> tuple[bool, str]:
    name, ours = rules.metric, candidate.get(rules.metric, math.nan)
    if math.isnan(ours):
        return False, f"Broken: {name} of the candidate is not known, and is what a champion is compared by."
    if champion is None:
        return True, f"Kept: no champion stands, so {name} of the candidate, {ours:.6g}, is held against no other."
    theirs = champion.get(name, math.nan)
    if math.isnan(theirs):
        return False, f"Broken: {name} of the champion is not known, so no improvement can be shown."
    # Rounded, so that a difference that is exactly the minimum in decimals is not lost to binary fractions.
    better_by = round((ours - theirs) if HIGHER_IS_BETTER[name] else (theirs - ours), 12)
    kept = better_by >= rules.minimum_effect if rules.minimum_effect > 0 else better_by > 0
    wanted = f"by at least {rules.minimum_effect:g}" if rules.minimum_effect > 0 else "strictly"
    told = f"{name} is {ours:.6g} against the champion's {theirs:.6g}, better by {better_by:.6g}"
    return kept, f"{_word(kept)}: {told}, and must be better {wanted}."


def _word(kept: bool) -> str:
    return "Kept" if kept else "Broken"
