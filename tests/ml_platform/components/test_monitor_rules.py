from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml_platform.components.monitor_rules import Quality, Retrain, Thresholds, Volume
from ml_platform.records import monitor, retraining


def test_defaults_are_those_of_the_engine() -> None:
    assert Thresholds().record == monitor.Thresholds()
    assert Quality().record == monitor.QualityRules()
    assert Retrain().record == retraining.Policy()
    assert (Volume().least, Volume().most) == monitor.MonitorRules().volume


def test_null_switches_a_statistic_off() -> None:
    assert Thresholds(psi=None).record.psi is None


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Thresholds, {"ks": 1.5}),
        (Thresholds, {"psi": 0}),
        (Quality, {"decay": 0}),
        (Volume, {"least": 2}),
        (Volume, {"most": 0.5}),
        (Retrain, {"when": ["skew"]}),
        (Retrain, {"when": []}),
        (Retrain, {"cooldown_hours": -1}),
    ],
)
def test_what_cannot_be_is_refused(kind: type, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        kind(**wrong)
