"""Standing: how each family of a monitor's findings stands now, which is by its newest window with enough data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ml_platform.records.monitor import FAMILIES, NO_WINDOW, NOT_ENOUGH, Family, Finding, State

_SHOWN = 5


@dataclass(frozen=True)
class Standing:
    """How a family stands.

    window: the newest with enough data; empty where none has. failing: what is not steady in it, worst first.
    judged: how many statistics of it had enough data. thin: later windows that have too little, or all.
    """

    family: Family
    window: str
    state: State
    failing: tuple[Finding, ...]
    judged: int
    thin: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nobody has to look."""
        return not self.failing

    @property
    def sentence(self) -> str:
        """The same, for people."""
        if not self.judged:
            return f"Not enough data{_within(self.thin[-3:]) or ' yet'}."
        if not self.failing:
            return f"Steady{_within([self.window])}: {self.judged} statistic{'' if self.judged == 1 else 's'}."
        worst: list[Finding] = []
        for one in self.failing:
            # Of each feature, what is worst of it; of the quality, every metric.
            if self.family == "quality" or one.feature not in {other.feature for other in worst}:
                worst.append(one)
        told = "; ".join(_told(one) for one in worst[:_SHOWN])
        more = len(worst) - _SHOWN
        return f"In {self.window}, {told}{f'; and {more} more' if more > 0 else ''}."


def _within(windows: Sequence[str]) -> str:
    named = [window for window in windows if window != NO_WINDOW]
    return f" in {', '.join(named)}" if named else ""


def standing(findings: Sequence[Finding]) -> dict[Family, Standing]:
    """Family → how it stands; those of which nothing is told at all are left out."""
    return {family: _of(family, group) for family in FAMILIES if (group := _group(family, findings))}


def _group(family: Family, findings: Sequence[Finding]) -> list[Finding]:
    return [one for one in findings if one.family == family]


def _of(family: Family, group: Sequence[Finding]) -> Standing:
    known = [one for one in group if one.state != NOT_ENOUGH]
    window = max((one.window for one in known), default="")
    judged = [one for one in known if one.window == window]
    failing = sorted((one for one in judged if one.state != "steady"), key=_excess, reverse=True)
    thin = tuple(sorted({one.window for one in group if one.state == NOT_ENOUGH and one.window > window}))
    state = failing[0].state if failing else "steady" if judged else NOT_ENOUGH
    return Standing(family, window, state, tuple(failing), len(judged), thin)


def _excess(one: Finding) -> float:
    """How far beyond its threshold a finding is."""
    if one.value is None or not one.threshold:
        return float("inf")
    return max(one.value / one.threshold, one.threshold / one.value if one.value else float("inf"))


def _told(one: Finding) -> str:
    of = f"{one.feature} " if one.feature else ""
    value = "" if one.value is None else f" {_number(one.value)}"
    interval = "" if one.lower is None or one.family != "quality" else f" ({one.lower:.3g} to {one.upper:.3g})"
    limit = "" if one.threshold is None else f", limit {_number(one.threshold)}"
    detail = f": {one.detail}" if one.detail else ""
    return f"{of}{one.statistic}{value}{interval}{limit} is {one.state}{detail}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
