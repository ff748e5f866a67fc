from __future__ import annotations

import math

import pytest

from ml_platform.engine.gate import GateRules, decide
from ml_platform.errors import DeclarationError

RULES = GateRules(metric="log_loss", floors={"roc_auc": 0.7, "brier": 0.2}, minimum_effect=0.01)
GOOD = {"log_loss": 0.40, "roc_auc": 0.75, "brier": 0.15}


def test_first_model_is_promoted_when_it_keeps_the_floors():
    decision = decide(RULES, GOOD, None)
    assert decision.promoted
    assert decision.champion == {}
    assert decision.reasons == (
        "Kept: roc_auc of the candidate is 0.75, and must be at least 0.7.",
        "Kept: brier of the candidate is 0.15, and must be at most 0.2.",
        "Kept: no champion stands, so log_loss of the candidate, 0.4, is held against no other.",
    )


@pytest.mark.parametrize("broken", [{"roc_auc": 0.69}, {"brier": 0.21}])
def test_first_model_is_refused_below_a_floor(broken):
    decision = decide(RULES, {**GOOD, **broken}, None)
    assert not decision.promoted
    assert sum(reason.startswith("Broken: ") for reason in decision.reasons) == 1


def test_floor_is_kept_by_exactly_its_value():
    assert decide(RULES, {**GOOD, "roc_auc": 0.7, "brier": 0.2}, None).promoted


@pytest.mark.parametrize(
    ("champion", "promoted"),
    [(0.45, True), (0.41, True), (0.405, False), (0.40, False), (0.35, False)],
    ids=["better by 0.05", "better by exactly 0.01", "better by 0.005", "equal", "worse"],
)
def test_promotion_keeps_champion_unless_beaten_by_the_minimum_effect(champion, promoted):
    decision = decide(RULES, GOOD, {"log_loss": champion})
    assert decision.promoted is promoted
    assert f"log_loss is 0.4 against the champion's {champion:g}" in decision.reasons[-1]


@pytest.mark.parametrize(("ours", "theirs", "promoted"), [(0.8, 0.75, True), (0.75, 0.8, False), (0.8, 0.8, False)])
def test_higher_is_better_where_the_metric_says_so_and_without_effect_it_must_be_strict(ours, theirs, promoted):
    rules = GateRules(metric="roc_auc", floors={"roc_auc": 0.5})
    assert decide(rules, {"roc_auc": ours}, {"roc_auc": theirs}).promoted is promoted


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "brier"])
@pytest.mark.parametrize("absent", [True, False])
def test_missing_or_undefined_evidence_of_the_candidate_is_a_refusal(metric, absent):
    candidate = {key: value for key, value in GOOD.items() if key != metric} if absent else {**GOOD, metric: math.nan}
    decision = decide(RULES, candidate, None)
    assert not decision.promoted
    assert any(f"{metric} of the candidate is not known" in reason for reason in decision.reasons)


@pytest.mark.parametrize("champion", [{}, {"log_loss": math.nan}])
def test_missing_or_undefined_evidence_of_the_champion_is_a_refusal(champion):
    decision = decide(RULES, GOOD, champion)
    assert not decision.promoted
    assert "log_loss of the champion is not known" in decision.reasons[-1]


def test_rules_that_cannot_hold_are_refused():
    with pytest.raises(DeclarationError, match="Did you mean roc_auc"):
        GateRules(metric="rok_auc", floors={"brier": 0.2})
    with pytest.raises(DeclarationError, match="floors is empty"):
        GateRules(metric="roc_auc", floors={})
    with pytest.raises(DeclarationError, match="minimum_effect is -1"):
        GateRules(metric="roc_auc", floors={"brier": 0.2}, minimum_effect=-1)
