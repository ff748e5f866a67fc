from __future__ import annotations

import math

import pytest

from ml_platform.engine.gate import GateRules, SliceRule, decide
from ml_platform.errors import DeclarationError
from ml_platform.records.gate import Interval, Measured, SliceFinding, SliceFindings

RULES = GateRules(metric="log_loss", floors={"roc_auc": 0.7, "brier": 0.2}, minimum_effect=0.01)
GOOD = {"log_loss": 0.40, "roc_auc": 0.75, "brier": 0.15}
BY_CARRIER = SliceRule(("carrier",), "log_loss", 0.6, 200)


def first(candidate):
    return Measured(candidate)


def against(champion, low, candidate=GOOD, high=0.2):
    """The candidate and what it is compared with, better by something between low and high."""
    return Measured(candidate, champion, Interval((low + high) / 2, low, high, 0.95))


def slices(*bounds, unjudged=0):
    found = [SliceFinding("carrier", f"C{at}", 300, bound - 0.05, bound) for at, bound in enumerate(bounds)]
    return SliceFindings(tuple(found), len(found), unjudged, 0.975)


def broken(decision):
    return [reason for reason in decision.reasons if reason.startswith("Broken: ")]


def test_first_model_is_promoted_when_it_keeps_the_floors():
    decision = decide(RULES, first(GOOD))
    assert decision.promoted
    assert decision.reasons == (
        "Kept: roc_auc of the candidate is 0.75, and must be at least 0.7.",
        "Kept: brier of the candidate is 0.15, and must be at most 0.2.",
        "Kept: no champion stands, so log_loss of the candidate, 0.4, is held against no other.",
    )


@pytest.mark.parametrize("worse", [{"roc_auc": 0.69}, {"brier": 0.21}])
def test_first_model_is_refused_below_a_floor(worse):
    decision = decide(RULES, first({**GOOD, **worse}))
    assert not decision.promoted
    assert len(broken(decision)) == 1


def test_floor_is_kept_by_exactly_its_value():
    assert decide(RULES, first({**GOOD, "roc_auc": 0.7, "brier": 0.2})).promoted


@pytest.mark.parametrize(
    ("low", "promoted"),
    [(0.02, True), (0.01, True), (0.1 - 0.09, True), (0.009, False), (0.0, False), (-0.05, False)],
    ids=["above", "exactly", "exactly but for binary fractions", "below", "may be equal", "may be worse"],
)
def test_promotion_keeps_champion_unless_the_whole_interval_clears_the_minimum_effect(low, promoted):
    # however good it is in the middle of it
    decision = decide(RULES, against({"log_loss": 0.51}, low))
    assert decision.promoted is promoted
    assert "log_loss is 0.4 against the champion's 0.51" in decision.reasons[-1]
    assert "and must be better by at least 0.01 over all of it" in decision.reasons[-1]


@pytest.mark.parametrize(("low", "promoted"), [(0.0001, True), (0.0, False), (-0.0001, False)])
def test_without_an_effect_it_must_be_strictly_better_over_all_of_the_interval(low, promoted):
    rules = GateRules(metric="roc_auc", floors={"roc_auc": 0.5})
    assert decide(rules, against({"roc_auc": 0.7}, low)).promoted is promoted


@pytest.mark.parametrize(
    ("low", "high", "promoted"),
    [(0.0, 0.0, True), (-0.02, 0.01, True), (-0.02, -0.01, False), (math.nan, math.nan, False)],
    ids=["equal", "not told apart", "shown to be worse", "unknown"],
)
def test_a_tainted_champion_is_replaced_by_what_is_not_shown_to_be_worse(low, high, promoted):
    measured = against({"log_loss": 0.4}, low, high=high)
    assert decide(RULES, measured, tainted=True).promoted is promoted
    # and everything else is asked of it as well
    assert not decide(RULES, against({"log_loss": 0.4}, low, {**GOOD, "roc_auc": 0.6}, high), tainted=True).promoted
    assert not decide(RULES, measured).promoted


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "brier"])
@pytest.mark.parametrize("absent", [True, False])
def test_missing_or_undefined_evidence_of_the_candidate_is_a_refusal(metric, absent):
    candidate = {key: value for key, value in GOOD.items() if key != metric} if absent else {**GOOD, metric: math.nan}
    decision = decide(RULES, first(candidate))
    assert not decision.promoted
    assert any(f"{metric} of the candidate is not known" in reason for reason in decision.reasons)


@pytest.mark.parametrize("champion", [{}, {"log_loss": math.nan}])
def test_missing_or_undefined_evidence_of_the_champion_is_a_refusal(champion):
    decision = decide(RULES, against(champion, 0.1))
    assert not decision.promoted
    assert "log_loss of the champion is not known" in decision.reasons[-1]


@pytest.mark.parametrize("interval", [None, Interval(0.1, math.nan, math.nan, 0.95)])
def test_an_improvement_without_an_interval_is_a_refusal(interval):
    decision = decide(RULES, Measured(GOOD, {"log_loss": 0.9}, interval))
    assert not decision.promoted
    assert "the interval of the improvement is not known" in decision.reasons[-1]


@pytest.mark.parametrize(
    ("name", "bounds", "kept", "refused"),
    [
        ("expected_calibration_error", (None, 0.03), 0.03, 0.031),
        ("calibration_slope", (0.8, 1.25), 0.8, 0.79),
        ("calibration_slope", (0.8, 1.25), 1.25, 1.3),
        ("calibration_intercept", (-0.1, 0.1), 0.0, -0.2),
        ("latency_median_ms", (None, 5.0), 4.0, 5.1),
        ("latency_p99_ms", (None, 50.0), 50.0, 51.0),
        ("size_mib", (None, 16.0), 2.0, 17.0),
    ],
)
def test_each_limit_refuses_by_itself(name, bounds, kept, refused):
    rules = GateRules("log_loss", {"roc_auc": 0.7}, limits={name: bounds})
    assert decide(rules, first({**GOOD, name: kept})).promoted
    (reason,) = broken(decide(rules, first({**GOOD, name: refused})))
    assert reason.startswith(f"Broken: {name} of the candidate is {refused:g}, and must be")
    (unknown,) = broken(decide(rules, first(GOOD)))
    assert f"{name} of the candidate is not known" in unknown


def test_a_slice_below_the_floor_refuses_what_wins_on_the_whole():
    rules = GateRules("log_loss", {"roc_auc": 0.7}, slices=BY_CARRIER)
    better = against({"log_loss": 0.6}, 0.1)
    told = Measured(better.candidate, better.champion, better.improvement, slices(0.7, 0.62, 0.5))
    (reason,) = broken(decide(rules, told))
    assert "log_loss of the 300 rows where carrier is C0 is 0.65 and may be as high as 0.7" in reason
    assert "carrier is C1" in reason
    assert "carrier is C2" not in reason
    assert "in an interval of 97.5 %, and must be at most 0.6 on each of 3 slices." in reason
    kept = Measured(better.candidate, better.champion, better.improvement, slices(0.6, 0.5, unjudged=70))
    decision = decide(rules, kept)
    assert decision.promoted
    assert "Of 70 rows in slices that are too small nothing is said." in decision.reasons[1]


def test_a_slice_is_held_to_a_least_where_higher_is_better():
    rules = GateRules("roc_auc", {"roc_auc": 0.7}, slices=SliceRule(("carrier",), "roc_auc", 0.6, 200))
    assert decide(rules, Measured(GOOD, slices=slices(0.61))).promoted
    (reason,) = broken(decide(rules, Measured(GOOD, slices=slices(0.59))))
    assert "may be as low as 0.59, in an interval of 97.5 %, and must be at least 0.6" in reason


@pytest.mark.parametrize("found", [None, slices(), slices(math.nan)], ids=["not measured", "too small", "not known"])
def test_slices_that_are_not_known_are_a_refusal(found):
    rules = GateRules("log_loss", {"roc_auc": 0.7}, slices=BY_CARRIER)
    assert not decide(rules, Measured(GOOD, slices=found)).promoted


def test_rules_ask_only_for_what_has_to_be_measured():
    rules = GateRules("log_loss", {"roc_auc": 0.7}, slices=BY_CARRIER, seed=4)
    other = GateRules(
        "log_loss",
        {"brier": 0.1},
        0.3,
        slices=SliceRule(("carrier",), "log_loss", 0.1, 200),
        seed=4,
        limits={"size_mib": (None, 1.0)},
    )
    assert rules.asked == other.asked
    assert rules.asked != GateRules("log_loss", {"roc_auc": 0.7}, seed=4).asked


def test_rules_that_cannot_hold_are_refused():
    with pytest.raises(DeclarationError, match="Did you mean roc_auc"):
        GateRules(metric="rok_auc", floors={"brier": 0.2})
    with pytest.raises(DeclarationError, match="floors is empty"):
        GateRules(metric="roc_auc", floors={})
    with pytest.raises(DeclarationError, match="minimum_effect is -1"):
        GateRules(metric="roc_auc", floors={"brier": 0.2}, minimum_effect=-1)
    with pytest.raises(DeclarationError, match="Did you mean size_mib"):
        GateRules(metric="roc_auc", floors={"brier": 0.2}, limits={"size_mb": (None, 1)})
