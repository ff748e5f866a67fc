from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml_platform.components.split import DeclaredSplit
from ml_platform.records.split import HashSplit, TimeSplit

RANGES = {"train": ("2013-01", "2013-09"), "validate": ("2013-10", "2013-10"), "test": ("2013-11", "2013-12")}
SHARES = {"train": 0.8, "validate": 0.1, "test": 0.1}


def test_a_split_by_time_and_one_by_a_hash_are_what_the_engine_takes() -> None:
    by_time = DeclaredSplit.model_validate({"by": "month", **RANGES, "gap_hours": 24})
    assert by_time.record == TimeSplit("month", RANGES, 24)
    assert by_time.columns == ("month",)
    by_hash = DeclaredSplit.model_validate({"by_hash_of": ["carrier"], "shares": SHARES})
    assert by_hash.record == HashSplit(("carrier",), SHARES)
    assert by_hash.columns == ("carrier",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"by": "month"}, "a split has by with ranges of train, validate, test, or by_hash_of with shares"),
        ({"by": "month", **RANGES, "shares": SHARES}, "a split has by with ranges"),
        ({"by_hash_of": ["carrier"], "shares": SHARES, "by": "month"}, "neither ranges nor a gap"),
        ({"by_hash_of": ["carrier"], "shares": {"train": 1.0}}, "shares are of train, validate, test"),
        ({"by_hash_of": ["carrier"], "shares": {**SHARES, "train": 0.9}}, "do not sum to 1"),
        ({"by": "month", **RANGES, "gap_hours": -1}, "greater than or equal to 0"),
    ],
    ids=["no ranges", "both", "two ways", "one share", "more than all", "negative gap"],
)
def test_a_split_that_cannot_be_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DeclaredSplit.model_validate(fields)
