from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ml_platform.engine.retraining import decide
from ml_platform.records.retraining import Evidence, Outcome, Policy

NOW = datetime(2024, 4, 20, 12, tzinfo=UTC)
POLICY = Policy(minimum_new_labels=1000, cooldown_hours=72, per_month=2)
ASKS = ("Data drift: in 2024-04, amount psi 0.4.",)


def known(**said: object) -> Evidence:
    return Evidence(**{"now": NOW, "asking": ASKS, "new_labels": 1000, "champion": 3, **said})


def ago(**past: float) -> datetime:
    return NOW - timedelta(**past)


@pytest.mark.parametrize(
    ("evidence", "outcome", "reason"),
    [
        (known(), "retrain", "1,000 labels came that no version learned from."),
        (known(asking=()), "nothing", "Nothing asks for a retrain."),
        (known(new_labels=999), "wait", "999 labels came that no version learned from, of 1,000."),
        (known(requested=(ago(hours=71),)), "wait", "it cools down until 2024-04-20 13:00 UTC"),
        (known(requested=(ago(hours=72),)), "wait", "it cools down until 2024-04-20 12:00 UTC"),
        (known(requested=(ago(hours=73),)), "retrain", "1,000 labels came"),
        (known(requested=(ago(days=5), ago(days=10))), "wait", "2 of 2 retrains of April 2024 are spent."),
        (known(requested=(ago(days=5), ago(days=25))), "retrain", "1,000 labels came"),
        (known(running=True), "wait", "a retrain is on its way"),
        (known(latest=NOW + timedelta(hours=1)), "wait", "the clock stands at 2024-04-20 12:00, before the last"),
        (known(broken=("Volume: in 2024-04, rows 3.",)), "incident", "nothing is learned from it"),
        (known(broken=("Input: amount null_flood 0.9.",), asking=()), "incident", "Input: amount null_flood 0.9."),
    ],
)
def test_decision_follows_from_what_is_known(evidence: Evidence, outcome: Outcome, reason: str) -> None:
    found = decide(POLICY, evidence, 7)
    assert (found.outcome, found.number, found.at, found.champion) == (outcome, 7, NOW, 3)
    assert reason in " ".join(found.reasons)


def test_every_reason_to_wait_is_told_beside_what_asks() -> None:
    found = decide(POLICY, known(new_labels=0, running=True, requested=(ago(hours=1), ago(hours=2))))
    assert found.reasons[0] == ASKS[0]
    assert sum(reason.startswith("Waits: ") for reason in found.reasons) == 4


def test_drift_in_broken_input_asks_for_nothing() -> None:
    found = decide(POLICY, known(broken=("Input: wind null_flood 0.6.",)))
    assert found.outcome == "incident"
    assert ASKS[0] not in found.reasons
