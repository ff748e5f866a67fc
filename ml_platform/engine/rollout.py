"""The rollout: how a version comes to serve, step by step; a pure machine over what was read back, one for every host.

`advance` says, of a state and of what is known now, which state is next and what has to be done for it. Whoever drives
it writes the state down, does it, reads back what serves and writes that down with `confirmed`. Killed between any two
of these, it goes on where it was: what a state wants served is made so again, which changes nothing where it is so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

Stage = Literal["loaded", "shadow", "step", "served", "rolled back"]
Act = Literal["serve", "compare", "judge", "wait"]
_SOONEST, _LATEST = timedelta(minutes=1), timedelta(hours=1)
_ALIKE = 1e-6  # of two shares: services keep single floats


@dataclass(frozen=True)
class Guards:
    """From where on a version goes back; a guard that is None is not looked at.

    error_share: of its answers that are errors, in 0–1. latency_p99_ms: the slowest but one in a hundred, inside the
    server. prediction_drift: population stability index of its predictions against the champion's.
    minimum_requests: answers of either side below which nothing is concluded.
    parity_rows, parity_tolerance: rows that are scored offline and through the endpoint, and how far these may differ.
    """

    error_share: float | None = None
    latency_p99_ms: float | None = None
    prediction_drift: float | None = None
    minimum_requests: int = 100
    parity_rows: int = 200
    parity_tolerance: float = 1e-6

    @property
    def declared(self) -> tuple[str, ...]:
        """The guards that have to pass before the next step."""
        names = ("error_share", "latency_p99_ms", "prediction_drift")
        return tuple(name for name in names if getattr(self, name) is not None)


@dataclass(frozen=True)
class Plan:
    """What is declared. steps: shares in 0–1, ascending, the last 1.0. shadow: whether it answers copies first."""

    steps: tuple[float, ...] = (1.0,)
    soak_minutes: float = 0.0
    shadow: bool = False
    guards: Guards = Guards()


@dataclass(frozen=True)
class Target:
    """A model version as it is served. identity: of its package, its views and what a request carries, together."""

    version: int
    identity: str


@dataclass(frozen=True)
class Traffic:
    """Shares of traffic by model version, those that are loaded without any included, and the version that listens."""

    shares: Mapping[int, float]
    shadow: int | None = None

    def same(self, other: Traffic | None) -> bool:
        """Whether the same versions are loaded, and requests go to them alike."""
        if other is None or self.shadow != other.shadow or self.shares.keys() != other.shares.keys():
            return False
        return all(math.isclose(share, other.shares[one], abs_tol=_ALIKE) for one, share in self.shares.items())


@dataclass(frozen=True)
class Finding:
    """What one guard found. passed: None where there is not enough to tell. said: in a sentence."""

    guard: str
    passed: bool | None
    said: str


@dataclass(frozen=True)
class State:
    """How far a rollout is.

    before: what served when it began, None where nothing did. beside: whether one server can have both at once; else
    the endpoint changes from the one to the other as a whole. share: of the target in the stage `step`.
    since: when the traffic of this state was read back; None while it is only wanted.
    reasons: why it waits, or went back.
    """

    target: Target
    before: Target | None
    stage: Stage
    beside: bool = True
    share: float = 0.0
    since: datetime | None = None
    reasons: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether it is over."""
        return self.stage in ("served", "rolled back")

    @property
    def standing(self) -> Target | None:
        """What one goes back to."""
        return self.target if self.stage == "served" else self.before

    def traffic_is(self, serving: Traffic | None) -> bool:
        """Whether what serves is what is to serve."""
        return serving is None if self.traffic is None else self.traffic.same(serving)

    @property
    def traffic(self) -> Traffic | None:
        """What is to serve; None where nothing is."""
        target, before = self.target.version, self.before
        if self.stage == "rolled back":
            return Traffic({before.version: 1.0}) if before else None
        if self.stage == "served":
            return Traffic({target: 1.0})
        if before is None:  # it is compared elsewhere, before anybody is sent to it
            return None
        if not self.beside:
            return Traffic({(target if self.stage == "step" else before.version): 1.0})
        if self.stage == "step":
            return Traffic({before.version: 1.0 - self.share, target: self.share})
        return Traffic({before.version: 1.0, target: 0.0}, target if self.stage == "shadow" else None)


@dataclass(frozen=True)
class Known:
    """What is known when the next step is asked for.

    wanted: the champion as it is declared now. beside: whether it can be served at once with what stands.
    serving: what the host reads back; None where nothing serves. kept: whether what stood before can be had again.
    parity: of the target; findings: of the guards in the present stage; None before somebody looked.
    retry: whether a version that went back is to be tried again.
    """

    wanted: Target
    serving: Traffic | None
    beside: bool = True
    kept: bool = True
    parity: Finding | None = None
    findings: Sequence[Finding] | None = None
    retry: bool = False


@dataclass(frozen=True)
class Next:
    """The state that is next, and what has to be done.

    serve: make the host serve its traffic, and confirm it; where it does, nothing changes. compare: find out about
    parity, and ask again. judge: the same about the guards. wait: nothing now, and more later.
    """

    state: State
    act: Act


def advance(plan: Plan, state: State | None, known: Known, now: datetime) -> Next:
    """What comes after a state; `state` is None where nothing was ever rolled out."""
    if state is None or state.settled:
        return _settled(state, known)
    if known.wanted != state.target:
        return _changed(state, known)
    # A server that is gone comes back with this very split, or a crash would be a way past all guards.
    if state.since is None or not state.traffic_is(known.serving):
        return Next(replace(state, since=None), "serve")
    if state.stage == "loaded":
        return _compared(plan, state, known.parity)
    if known.findings is None:
        return Next(state, "judge")
    return _soaked(plan, state, known.findings, now)


def confirmed(state: State, now: datetime) -> State:
    """The state, once its traffic was read back."""
    return replace(state, since=now)


def rolled_back(state: State, reasons: Sequence[str]) -> State:
    """What stood before serves wholly again, and why."""
    return replace(state, stage="rolled back", share=0.0, since=None, reasons=tuple(reasons))


def due(plan: Plan, state: State | None, looked_at: datetime) -> datetime | None:
    """When to look again; None where there is nothing to wait for.

    It is at the soak's end, and on the way there, and after it, whenever a stage is twice as old as it was: what is
    bad is found early, and what waits for traffic costs little. looked_at: when somebody last did.
    """
    if state is None or state.settled:
        return None
    if state.since is None:
        return looked_at + _SOONEST
    ends = state.since + timedelta(minutes=plan.soak_minutes)
    look = looked_at + min(max(looked_at - state.since, _SOONEST), _LATEST)
    return min(look, ends) if looked_at < ends else look


def _settled(state: State | None, known: Known) -> Next:
    standing = state.standing if state else None
    if known.serving is None and not known.kept:
        standing = None  # nobody can have it again
    if state and state.stage == "rolled back" and known.wanted == state.target and not known.retry:
        stands = state.since is not None and state.traffic_is(known.serving)
        return Next(state if stands else replace(state, since=None), "serve")
    if state and state.stage == "served" and state.since and known.serving is None and known.wanted == state.target:
        # Its server is gone, and it is what served on these very terms: nothing is left to compare.
        return Next(replace(state, since=None), "serve")
    if known.wanted == standing:
        same = state is not None and state.stage == "served" and state.traffic_is(known.serving)
        return Next(state if state and same else State(known.wanted, None, "served"), "serve")
    return Next(State(known.wanted, standing, "loaded", beside=known.beside), "serve")


def _changed(state: State, known: Known) -> Next:
    """Another version is wanted on the way: the one of before, which is gone back to, or a third that begins anew."""
    if known.wanted == state.before:
        return Next(State(known.wanted, None, "served"), "serve")
    before = state.before if known.kept or known.serving is not None else None
    return Next(State(known.wanted, before, "loaded", beside=known.beside), "serve")


def _compared(plan: Plan, state: State, parity: Finding | None) -> Next:
    if parity is None:
        return Next(state, "compare")
    if not parity.passed:
        return Next(rolled_back(state, [parity.said]), "serve")
    if state.before is None:
        return Next(State(state.target, None, "served"), "serve")
    if plan.shadow and state.beside:
        return Next(replace(state, stage="shadow", since=None, reasons=()), "serve")
    return _stepped(plan, state)


def _soaked(plan: Plan, state: State, findings: Sequence[Finding], now: datetime) -> Next:
    failed = [found.said for found in findings if found.passed is False]
    if failed:
        return Next(rolled_back(state, failed), "serve")
    waits = [found.said for found in findings if found.passed is None]
    unseen = set(plan.guards.declared) - {found.guard for found in findings}
    waits += [f"{guard} was not looked at." for guard in sorted(unseen)]
    # A clock that was set back lets nothing pass.
    left = plan.soak_minutes - max((now - state.since).total_seconds() / 60, 0.0) if state.since else math.inf
    if left > 0:
        waits = [f"It soaks {plan.soak_minutes:g} minutes, and {left:.0f} are left.", *waits]
    if waits:
        return Next(replace(state, reasons=(*_left_out(plan, state), *waits)), "wait")
    return _stepped(plan, state)


def _stepped(plan: Plan, state: State) -> Next:
    """The next larger of the declared shares; after the whole of it, the target serves alone."""
    if state.share >= 1.0 - _ALIKE:
        return Next(State(state.target, None, "served"), "serve")
    larger = [share for share in plan.steps if share > state.share + _ALIKE]
    share = min(larger, default=1.0) if state.beside else 1.0
    return Next(replace(state, stage="step", share=share, since=None, reasons=_left_out(plan, state)), "serve")


def _left_out(plan: Plan, state: State) -> tuple[str, ...]:
    """That what is declared is not done, where one server cannot have both versions."""
    declared = [*(["shadow"] if plan.shadow else []), *(["steps"] if len(plan.steps) > 1 else [])]
    if state.beside or not declared:
        return ()
    return (
        f"No server can have versions {state.before.version if state.before else 'of before'} and "
        f"{state.target.version} at once, so it changes as a whole, without its {' and '.join(declared)}.",
    )
