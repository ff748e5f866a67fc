from __future__ import annotations

import pytest

from ml_platform.engine.asking import said
from ml_platform.records.monitor import Family, Finding, State
from ml_platform.records.retraining import Policy


def finding(family: Family, state: State, statistic: str = "psi") -> Finding:
    return Finding("2013-12", family, "wind", statistic, 0.5, state, 900, 0.25)


@pytest.mark.parametrize(
    ("found", "asks", "breaks"),
    [
        (finding("drift", "drifted"), True, False),
        (finding("quality", "decayed", "log_loss"), True, False),
        (finding("prediction_drift", "drifted"), False, False),  # the policy does not name it
        (finding("drift", "not enough data"), False, False),
        (finding("input", "broken", "null_flood"), False, True),
        (finding("input", "broken", "schema"), False, True),
        (finding("volume", "broken", "rows"), False, True),
        (finding("freshness", "broken", "age_hours"), False, True),
        (finding("quality", "broken", "labelled_share"), False, True),
        (finding("skew", "skewed", "differing"), False, True),
    ],
)
def test_drift_and_decay_ask_and_broken_input_forbids(found: Finding, asks: bool, breaks: bool) -> None:
    asking, broken = said(Policy(when=("drift", "quality")), [found])
    assert (bool(asking), bool(broken)) == (asks, breaks)


def test_quality_that_decayed_while_labels_stay_away_says_both() -> None:
    asking, broken = said(
        Policy(), [finding("quality", "decayed", "log_loss"), finding("quality", "broken", "labelled_share")]
    )
    assert asking == ("Quality: in 2013-12, wind log_loss 0.5, limit 0.25 is decayed.",)
    assert broken == ("Quality: in 2013-12, wind labelled_share 0.5, limit 0.25 is broken.",)
