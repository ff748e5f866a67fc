from __future__ import annotations

import numpy as np
import pytest

from ml_platform.engine.bars import bars
from ml_platform.engine.distributions import Bins, Counts, Distribution, bins_of, counted, trained
from ml_platform.engine.drift import number_statistics


def test_bars_of_a_number_are_of_one_width_and_hold_every_row() -> None:
    draw = np.random.default_rng(12)
    statistics = number_statistics(np.where(draw.random(5000) < 0.2, np.nan, draw.normal(size=5000)))
    names, before, after = bars(bins_of(statistics), trained(statistics), trained(statistics))
    assert before == after
    assert names[-1] == "missing"
    assert after[-1] == pytest.approx(0.2, abs=0.02)
    assert sum(after) == pytest.approx(1)
    # the middle of a normal distribution is higher than its ends
    assert after[len(after) // 2] > 4 * after[1]


def test_few_values_have_a_bar_each() -> None:
    statistics = number_statistics(np.array([0.0, 0.0, 1.0, 2.0]))
    names, before, after = bars(bins_of(statistics), trained(statistics), counted(bins_of(statistics), Counts({2: 4})))
    assert names == ["≤ 0", "≤ 1", "≤ 2", "> 2"]
    assert before == [0.5, 0.25, 0.25, 0.0]
    assert after == [0.0, 0.0, 1.0, 0.0]


def test_categories_come_by_the_baselines_shares_and_the_rarest_as_one() -> None:
    shares = {f"v{n:02}": 0.04 for n in range(25)} | {"v07": 0.04}
    before = Distribution("category", 100, 0.0, {**shares, "v07": 0.3})
    names, first, second = bars(Bins("category"), before, Distribution("category", 10, 0.0, {"new": 1.0}))
    assert (names[0], names[-1], len(names)) == ("v07", "others", 21)
    assert first is not None
    assert sum(first) == pytest.approx(sum(before.bins.values()))
    assert sum(second) == 1.0


def test_without_a_baseline_the_window_stands_alone() -> None:
    names, before, after = bars(Bins("category"), None, Distribution("category", 4, 0.5, {"UA": 0.5}))
    assert (names, before, after) == (["UA", "missing"], None, [0.5, 0.5])


def test_feature_that_never_had_a_value_is_one_bar() -> None:
    nothing = trained(number_statistics(np.full(3, np.nan)))
    assert bars(Bins("number"), nothing, nothing) == (["any value", "missing"], [0.0, 1.0], [0.0, 1.0])
