from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml_platform.components.tuning import Budget, EarlyStopping, SearchRange, Tune


def test_search_is_by_the_loss_and_without_pruning_unless_said():
    budget = Budget(trials=3)
    assert (budget.seconds, budget.metric, budget.pruning) == (None, None, False)
    assert Tune(trials=3, space={"C": [1, 2]}).space == {"C": [1, 2]}


def test_range_counts_differences_unless_said():
    assert SearchRange(low=1, high=2).log is False


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"seconds": 0}, {"seconds": -1}, {"metric": "speed"}, {"minutes": 3}])
def test_budget_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        Budget(**wrong)


def test_early_stopping_that_cannot_be_is_refused():
    with pytest.raises(ValidationError):
        EarlyStopping(rounds=0)
    with pytest.raises(ValidationError):
        EarlyStopping(min_delta=-0.1)
