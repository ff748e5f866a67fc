from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml_platform.components.aggregate import DeclaredAggregate
from ml_platform.engine.aggregates import Aggregate


def test_a_declared_aggregate_is_what_the_engine_takes() -> None:
    declared = DeclaredAggregate(function="mean", of="delay", over_hours=168)
    assert declared.record == Aggregate("mean", 168, "delay", decimals=6)
    assert DeclaredAggregate(function="count", over_hours=1).record == Aggregate("count", 1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"function": "mean", "over_hours": 1}, "a mean is of a column"),
        ({"function": "count", "over_hours": 0}, "greater than or equal to 1"),
        ({"function": "count", "over_hours": 2161}, "less than or equal to 2160"),
        ({"function": "median", "of": "delay", "over_hours": 1}, "'count', 'sum', 'mean'"),
        ({"function": "sum", "of": "delay", "over_hours": 1, "type": "category"}, "a sum is a number"),
    ],
    ids=["nothing to tell of", "no window", "too long", "unknown", "a sum is no category"],
)
def test_what_cannot_be_told_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DeclaredAggregate.model_validate(fields)
