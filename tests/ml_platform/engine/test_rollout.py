from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ml_platform.engine.rollout import (
    Finding,
    Guards,
    Known,
    Next,
    Plan,
    State,
    Target,
    Traffic,
    advance,
    confirmed,
    due,
    rolled_back,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
OLD, NEW, THIRD = Target(1, "old"), Target(2, "new"), Target(3, "third")
GUARDS = Guards(error_share=0.01, latency_p99_ms=50.0, prediction_drift=0.25)
CAREFUL = Plan(steps=(0.05, 0.5, 1.0), soak_minutes=60, shadow=True, guards=GUARDS)
AT_ONCE = Plan()
KEPT = tuple(Finding(name, True, f"Kept: {name}.") for name in GUARDS.declared)
PARITY = Finding("parity", True, "Kept: parity.")
STANDING = State(OLD, None, "served", since=NOW - timedelta(days=1))


def known(state: State | None, wanted: Target = NEW, **more: object) -> Known:
    """What is known where the host serves what the state wants, and all went well."""
    serving = state.traffic if state else None
    return Known(wanted, serving, **{"parity": PARITY, "findings": KEPT, **more})  # type: ignore[arg-type]


def course(plan: Plan, state: State | None, wanted: Target = NEW) -> Iterator[State]:
    """The states of a rollout in which all goes well and every soak is waited for."""
    now = NOW
    for _ in range(20):
        following = advance(plan, state, known(state, wanted), now)
        assert following.act == "serve"
        state = confirmed(following.state, now)
        yield state
        if state.settled:
            return
        now += timedelta(minutes=plan.soak_minutes)
    pytest.fail("it does not settle")


def on_the_way() -> list[State]:
    return [state for state in course(CAREFUL, STANDING) if not state.settled]


def test_version_goes_from_loaded_over_its_shadow_and_every_step_to_all_of_the_traffic() -> None:
    assert [state.traffic for state in course(CAREFUL, STANDING)] == [
        Traffic({1: 1.0, 2: 0.0}),
        Traffic({1: 1.0, 2: 0.0}, shadow=2),
        Traffic({1: 0.95, 2: 0.05}),
        Traffic({1: 0.5, 2: 0.5}),
        Traffic({1: 0.0, 2: 1.0}),
        Traffic({2: 1.0}),
    ]


def test_first_version_has_nothing_to_shift_from() -> None:
    assert [state.stage for state in course(CAREFUL, None)] == ["loaded", "served"]
    assert {tuple(state.traffic.shares.items()) for state in course(CAREFUL, None) if state.traffic} == {((2, 1.0),)}


def test_what_cannot_stand_beside_the_other_takes_its_place_as_a_whole() -> None:
    first = advance(CAREFUL, STANDING, known(STANDING, beside=False), NOW).state
    states = [first]
    while not states[-1].settled:
        state = confirmed(states[-1], NOW)
        states.append(advance(CAREFUL, state, known(state), NOW + timedelta(hours=1)).state)
    assert [state.stage for state in states] == ["loaded", "step", "served"]
    assert [state.traffic for state in states] == [Traffic({1: 1.0}), Traffic({2: 1.0}), Traffic({2: 1.0})]
    # and it is told that what was declared is left out
    assert ["without its shadow and steps" in " ".join(state.reasons) for state in states] == [False, True, False]


def test_declared_version_that_serves_is_served_again_without_a_new_state() -> None:
    following = advance(CAREFUL, STANDING, known(STANDING, OLD), NOW)
    assert following == Next(STANDING, "serve")


def test_parity_and_guards_are_asked_for_before_anything_moves() -> None:
    loaded, shadow, *steps = on_the_way()
    assert advance(CAREFUL, loaded, known(loaded, parity=None), NOW) == Next(loaded, "compare")
    for state in (shadow, *steps):
        late = NOW + timedelta(days=1)
        assert advance(CAREFUL, state, known(state, findings=None), late) == Next(state, "judge")


@pytest.mark.parametrize("guard", ["parity", *GUARDS.declared])
@pytest.mark.parametrize("position", range(5))
def test_every_failing_guard_takes_every_stage_back_wholly_and_says_why(guard: str, position: int) -> None:
    state = on_the_way()[position]
    broken = Finding(guard, False, f"Broken: {guard}.")
    findings = tuple(broken if each.guard == guard else each for each in KEPT)
    parity = broken if guard == "parity" else PARITY
    following = advance(CAREFUL, state, known(state, parity=parity, findings=findings), NOW)
    if (guard == "parity") != (state.stage == "loaded"):
        return  # this stage looks at the other
    assert following.act == "serve"
    assert (following.state.stage, following.state.reasons) == ("rolled back", (f"Broken: {guard}.",))
    assert following.state.traffic == Traffic({1: 1.0})
    assert following.state.since is None


@pytest.mark.parametrize("guard", GUARDS.declared)
@pytest.mark.parametrize("lacking", ["too few", "not looked at"])
def test_guard_without_evidence_waits_however_long_it_takes(guard: str, lacking: str) -> None:
    thin = Finding(guard, None, f"{guard} waits for 100 answers.")
    others = tuple(each for each in KEPT if each.guard != guard)
    findings = (*others, thin) if lacking == "too few" else others
    for state in on_the_way()[1:]:
        following = advance(CAREFUL, state, known(state, findings=findings), NOW + timedelta(days=300))
        assert following.act == "wait"
        assert following.state == replace(state, reasons=following.state.reasons)
        assert guard in following.state.reasons[0]


def test_soak_is_waited_for_and_told() -> None:
    for state in on_the_way()[1:]:
        following = advance(CAREFUL, state, known(state), state.since + timedelta(minutes=59))  # type: ignore[operator]
        assert following == Next(replace(state, reasons=("It soaks 60 minutes, and 1 are left.",)), "wait")


def test_clock_that_is_set_back_lets_nothing_pass() -> None:
    for state in on_the_way()[1:]:
        following = advance(CAREFUL, state, known(state), NOW - timedelta(days=400))
        assert (following.act, following.state.share) == ("wait", state.share)


def test_first_version_without_parity_is_taken_away() -> None:
    loaded = confirmed(advance(AT_ONCE, None, known(None), NOW).state, NOW)
    following = advance(AT_ONCE, loaded, known(loaded, parity=Finding("parity", False, "Broken.")), NOW)
    assert (following.act, following.state.stage, following.state.traffic) == ("serve", "rolled back", None)


def test_version_that_went_back_is_remembered_until_something_changes() -> None:
    back = confirmed(rolled_back(on_the_way()[2], ["Broken: error_share."]), NOW)
    assert advance(CAREFUL, back, known(back), NOW + timedelta(days=9)) == Next(back, "serve")
    anew = advance(CAREFUL, back, known(back, retry=True), NOW).state
    assert (anew.stage, anew.target, anew.before) == ("loaded", NEW, OLD)
    other = advance(CAREFUL, back, known(back, THIRD), NOW).state
    assert (other.stage, other.target, other.before) == ("loaded", THIRD, OLD)
    old = advance(CAREFUL, back, known(back, OLD), NOW).state
    assert (old.stage, old.target) == ("served", OLD)


def test_other_terms_of_the_same_version_are_another_rollout() -> None:
    back = confirmed(rolled_back(on_the_way()[2], ["Broken."]), NOW)
    mended = Target(NEW.version, "the same package on other views")
    assert advance(CAREFUL, back, known(back, mended), NOW).state.stage == "loaded"


def test_version_that_is_overtaken_gives_way_and_one_that_is_withdrawn_leaves_the_old() -> None:
    for state in on_the_way():
        overtaken = advance(CAREFUL, state, known(state, THIRD), NOW)
        assert overtaken.state.traffic == Traffic({1: 1.0, 3: 0.0})
        withdrawn = advance(CAREFUL, state, known(state, OLD), NOW)
        assert (withdrawn.act, withdrawn.state.traffic) == ("serve", Traffic({1: 1.0}))


def test_what_was_not_read_back_or_is_not_what_serves_is_made_so_again() -> None:
    for state in on_the_way():
        for unsure, serving in ((replace(state, since=None), state.traffic), (state, Traffic({1: 0.3, 2: 0.7}))):
            following = advance(CAREFUL, unsure, replace(known(unsure), serving=serving), NOW + timedelta(days=1))
            assert following == Next(replace(state, since=None), "serve")


def test_server_that_is_gone_on_the_way_comes_back_with_the_split_and_passes_no_guard_by() -> None:
    for state in on_the_way():
        gone = replace(known(state), serving=None)
        following = advance(CAREFUL, state, gone, NOW + timedelta(days=1))
        assert following == Next(replace(state, since=None), "serve")
        # and what is wanted meanwhile begins beside what stood
        other = advance(CAREFUL, state, replace(gone, wanted=THIRD), NOW)
        assert other == Next(State(THIRD, OLD, "loaded"), "serve")


def test_server_that_is_gone_serves_again_what_it_served_without_being_compared() -> None:
    served = confirmed(State(NEW, None, "served"), NOW)
    gone = replace(known(served), serving=None)
    assert advance(CAREFUL, served, gone, NOW) == Next(replace(served, since=None), "serve")
    # what it never served, or not on these terms, is compared as ever, beside what stood
    for other in (THIRD, Target(2, "others")):
        following = advance(CAREFUL, served, replace(gone, wanted=other), NOW)
        assert following == Next(State(other, NEW, "loaded"), "serve")
        # which is left where nobody can have it again
        alone = advance(CAREFUL, served, replace(gone, wanted=other, kept=False), NOW)
        assert alone == Next(State(other, None, "loaded"), "serve")
    back = rolled_back(on_the_way()[2], ["Broken."])
    third = advance(CAREFUL, back, replace(known(back), serving=None, wanted=THIRD), NOW)
    assert third == Next(State(THIRD, OLD, "loaded"), "serve")
    # killed before it was read back, it stood all the same: nothing comes to be served without having been compared
    unsure = replace(served, since=None)
    assert advance(CAREFUL, unsure, gone, NOW) == Next(unsure, "serve")
    assert advance(CAREFUL, unsure, replace(gone, wanted=THIRD), NOW) == Next(State(THIRD, NEW, "loaded"), "serve")


def test_first_version_gets_nothing_before_it_was_compared() -> None:
    begun = advance(CAREFUL, None, Known(NEW, None), NOW)
    assert (begun.state.stage, begun.state.traffic) == ("loaded", None)
    loaded = confirmed(begun.state, NOW)
    passed = advance(CAREFUL, loaded, Known(NEW, None, parity=Finding("parity", True, "Kept.")), NOW)
    assert (passed.state.stage, passed.state.traffic) == ("served", Traffic({2: 1.0}))
    broken = advance(CAREFUL, loaded, Known(NEW, None, parity=Finding("parity", False, "Broken.")), NOW)
    assert (broken.state.stage, broken.state.traffic) == ("rolled back", None)


def test_roll_back_that_was_undone_by_hand_is_made_again() -> None:
    back = confirmed(rolled_back(on_the_way()[2], ["Broken."]), NOW)
    following = advance(CAREFUL, back, replace(known(back), serving=Traffic({2: 1.0})), NOW)
    assert (following.act, following.state.traffic) == ("serve", Traffic({1: 1.0}))


def test_steps_that_are_declared_anew_on_the_way_go_on_from_the_share_that_is() -> None:
    half = next(state for state in on_the_way() if state.share == 0.5)
    shares = {}
    for steps in ((0.1, 0.2, 1.0), (0.75, 1.0), (1.0,)):
        plan = replace(CAREFUL, steps=steps)
        shares[steps] = advance(plan, half, known(half), NOW + timedelta(days=1)).state.share
    assert shares == {(0.1, 0.2, 1.0): 1.0, (0.75, 1.0): 0.75, (1.0,): 1.0}


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_no_version_has_more_than_its_step_and_what_serves_is_whole(seed: int) -> None:
    """Any order of evidence, clocks, crashes and wishes; the shares are checked against the steps after each."""
    chance = random.Random(seed)  # noqa: S311 - a draw of cases
    plan = Plan(
        steps=(*sorted(chance.sample([0.01, 0.05, 0.1, 0.25, 0.5, 0.9], chance.randint(0, 4))), 1.0),
        soak_minutes=chance.choice([0, 30]),
        shadow=chance.random() < 0.5,
        guards=chance.choice([Guards(), GUARDS]),
    )
    state: State | None = chance.choice([None, STANDING])
    serving = state.traffic if state else None
    now = NOW
    for _ in range(40):
        verdict = chance.choice([True, True, True, None, False])
        findings = [Finding(name, verdict, "said") for name in plan.guards.declared]
        told = Known(
            wanted=chance.choice([NEW, NEW, NEW, NEW, OLD, THIRD]),
            serving=serving,
            beside=chance.random() < 0.8,
            parity=chance.choice([None, PARITY, Finding("parity", verdict, "said")]),
            findings=chance.choice([None, findings, findings]),
            retry=chance.random() < 0.1,
        )
        before, following = state, advance(plan, state, told, now)
        state = following.state
        traffic = state.traffic
        if traffic is not None:
            assert sum(traffic.shares.values()) == pytest.approx(1.0)
        if state.stage == "step":
            assert state.share in plan.steps
            # one step at a time, and none without all of the evidence
            smaller = [0.0, *(share for share in plan.steps if share < state.share)]
            if before and before.target == state.target and before.stage == "step" and before.share != state.share:
                assert before.share == smaller[-1]
                assert told.findings is not None
                assert all(each.passed for each in told.findings)
                soaked = (now - before.since).total_seconds() / 60  # type: ignore[operator]
                assert soaked >= plan.soak_minutes or not plan.soak_minutes
            elif before and before.stage in ("loaded", "shadow") and before.target == state.target:
                assert state.share == (plan.steps[0] if state.beside else 1.0)
        if following.act == "serve" and chance.random() < 0.9:
            serving = traffic
            state = confirmed(state, now) if chance.random() < 0.9 else state  # else killed before it was written down
        now += timedelta(minutes=chance.choice([0, 10, 40, -500]))


def test_it_is_looked_at_soon_then_ever_more_rarely_and_when_the_soak_is_over() -> None:
    state = next(state for state in on_the_way() if state.stage == "step")
    state = replace(state, since=NOW)
    looks = [NOW]
    for _ in range(9):
        looks.append(due(CAREFUL, state, looks[-1]) or NOW)
    minutes = [(look - NOW).total_seconds() / 60 for look in looks]
    # twice as old each time, but for the soak's end at 60, and never more than an hour apart
    assert minutes == [0, 1, 2, 4, 8, 16, 32, 60, 120, 180]


def test_what_is_over_is_not_looked_at_and_what_was_not_read_back_is_at_once() -> None:
    assert due(CAREFUL, None, NOW) is None
    assert due(CAREFUL, STANDING, NOW) is None
    unsure = replace(on_the_way()[2], since=None)
    assert due(CAREFUL, unsure, NOW) == NOW + timedelta(minutes=1)


def test_traffic_is_compared_by_shares_and_by_what_is_loaded() -> None:
    same = [Traffic({1: 0.95, 2: 0.05}), Traffic({1: 0.949_999_99, 2: 0.050_000_01})]
    assert all(one.same(other) for one, other in itertools.product(same, same))
    assert not same[0].same(Traffic({1: 0.94, 2: 0.06}))
    assert not same[0].same(Traffic({1: 0.95, 2: 0.05, 3: 0.0}))
    assert not same[0].same(Traffic({1: 0.95, 2: 0.05}, shadow=3))
    assert not same[0].same(None)
