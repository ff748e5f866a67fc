"""Retraining, damped: whether a model is learned anew, decided from what is known, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ml_platform.records.retraining import Decision, Evidence, Outcome, Policy


def decide(policy: Policy, known: Evidence, number: int = 1) -> Decision:
    """Nothing, a retrain, to wait with one that is asked for, or an incident; with every reason.

    Broken input comes first: what was learned from it would be worse than what stands. A retrain that is asked for
    waits for as long as one reason is left: too few new labels, a request within the cool-down, one that is on its
    way, a month's budget that is spent, or a clock that stands before the last decision.
    """
    outcome: Outcome
    if known.broken:
        outcome, reasons = "incident", ("The input is broken, so nothing is learned from it.", *known.broken)
    elif not known.asking:
        outcome, reasons = "nothing", ("Nothing asks for a retrain.",)
    else:
        waits = tuple(_waits(policy, known))
        outcome = "wait" if waits else "retrain"
        reasons = (*known.asking, *(waits or (f"{known.new_labels:,} labels came that no version learned from.",)))
    return Decision(number, known.now, outcome, reasons, known.champion, known.new_labels)


def _waits(policy: Policy, known: Evidence) -> Iterator[str]:
    """Why a retrain that is asked for is not made now."""
    if known.latest is not None and known.now < known.latest:
        yield f"Waits: the clock stands at {known.now:%Y-%m-%d %H:%M}, before the last decision."
    if known.running:
        yield "Waits: a retrain is on its way, and they are made one at a time."
    if known.new_labels < policy.minimum_new_labels:
        came, asked = f"{known.new_labels:,} labels came", f"{policy.minimum_new_labels:,}"
        yield f"Waits: {came} that no version learned from, of {asked}."
    last = max(known.requested, default=None)
    until = last + timedelta(hours=policy.cooldown_hours) if last else None
    if until is not None and known.now <= until:
        yield f"Waits: it cools down until {until:%Y-%m-%d %H:%M} UTC."
    spent = sum((at.year, at.month) == (known.now.year, known.now.month) for at in known.requested)
    if spent >= policy.per_month:
        yield f"Waits: {spent} of {policy.per_month} retrains of {known.now:%B %Y} are spent."
