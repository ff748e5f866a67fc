from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from ml_platform.engine import drift
from ml_platform.engine.drift import (
    DriftRules,
    category_statistics,
    jensen_shannon,
    kolmogorov_smirnov,
    measure,
    number_statistics,
)

RULES = DriftRules(psi=0.25, null_share=0.1, minimum_rows=4)


def test_worked_numbers_of_the_docstrings_hold():
    assert doctest.testmod(drift).failed == 0


def test_bins_of_a_continuous_number_hold_a_tenth_each():
    statistics = number_statistics(np.arange(1000.0))
    assert len(statistics["edges"]) == 9
    assert statistics["shares"] == pytest.approx([0.1] * 10, abs=0.002)


def test_index_of_a_shifted_number_is_the_hand_calculation():
    # given half the rows in either of two bins, when 0.4 and 0.6 fall there, then 0.1·ln(1.25) + 0.1·ln(1.2)
    statistics = {"type": "number", "edges": [0.0], "shares": [0.5, 0.5], "null_share": 0.0}
    found = measure("wind", statistics, np.array([-1.0] * 40 + [1.0] * 60), RULES)
    assert found.psi == pytest.approx(0.1 * math.log(1.25) + 0.1 * math.log(1.2))
    assert found.state == "steady"


def test_index_agrees_with_the_symmetric_divergence_of_scipy():
    from scipy.stats import entropy

    draw = np.random.default_rng(1)
    before, after = draw.normal(size=5000), draw.normal(0.5, 1, size=5000)
    statistics = number_statistics(before)
    edges = np.array([-np.inf, *statistics["edges"], np.inf])
    # NumPy's bins are closed on the other side, which no draw of a continuous number touches.
    actual = np.histogram(after, edges)[0] / 5000
    expected = np.array(statistics["shares"])
    divergence = entropy(actual, expected) + entropy(expected, actual)
    assert measure("wind", statistics, after, RULES).psi == pytest.approx(divergence, rel=1e-2)


def test_same_distribution_is_steady_and_a_moved_one_drifts():
    draw = np.random.default_rng(2)
    statistics = number_statistics(draw.normal(size=5000))
    assert measure("wind", statistics, draw.normal(size=5000), RULES).state == "steady"
    assert measure("wind", statistics, draw.normal(1, 1, size=5000), RULES).state == "drifted"


@pytest.mark.parametrize("moved", [0.0, 2.0])
def test_constant_that_moves_either_way_drifts(moved):
    statistics = number_statistics(np.ones(100))
    assert measure("is_weekday", statistics, np.ones(100), RULES).psi == 0
    assert measure("is_weekday", statistics, np.full(100, moved), RULES).state == "drifted"


def test_rise_of_missing_values_drifts_by_itself():
    statistics = number_statistics(np.arange(1000.0))
    window = np.where(np.arange(1000) % 10 == 0, np.nan, np.arange(1000.0))
    found = measure("wind", statistics, window, DriftRules(psi=99, null_share=0.1, minimum_rows=4))
    assert (found.null_share, found.baseline_null_share) == (0.1, 0.0)
    assert found.state == "drifted"


def test_new_categories_are_named_and_counted():
    # given UA and AA at one half each, when DL takes two of ten rows, its expected share counts as 0.0001
    statistics = category_statistics(["UA", "AA"] * 50)
    found = measure("carrier", statistics, ["UA"] * 4 + ["AA"] * 4 + ["DL"] * 2, RULES)
    assert found.new_categories == ("DL",)
    assert found.psi == pytest.approx(2 * -0.1 * math.log(0.8) + (0.2 - 0.0001) * math.log(0.2 / 0.0001))
    assert found.state == "drifted"


def test_whole_numbers_as_categories_survive_becoming_floats():
    found = measure("zone", category_statistics([1, 2] * 10), np.array([1.0, 2.0] * 10), RULES)
    assert (found.psi, found.new_categories) == (0, ())


def test_few_rows_and_none_are_not_enough_data():
    statistics = number_statistics(np.arange(1000.0))
    few = measure("wind", statistics, [5000.0] * 3, RULES)
    assert (few.state, few.rows) == ("not enough data", 3)
    none = measure("wind", statistics, [], RULES)
    assert (none.state, none.psi, none.null_share, none.rows) == ("not enough data", None, None, 0)


def test_feature_without_any_training_value_is_measured_all_the_same():
    statistics = number_statistics(np.full(10, np.nan))
    assert measure("wind", statistics, np.full(10, np.nan), RULES).state == "steady"
    assert measure("wind", statistics, np.ones(10), RULES).state == "drifted"


def test_distance_of_distribution_functions_is_within_a_hundredth_of_scipys():
    from scipy.stats import ks_2samp

    draw = np.random.default_rng(3)
    before, after = draw.gamma(2, size=20_000), draw.gamma(2.4, size=7_000)
    statistics = number_statistics(before)
    below = [float(np.mean(after <= point)) for point in statistics["points"]]
    exact = ks_2samp(before, after).statistic
    assert exact - 0.01 <= kolmogorov_smirnov(statistics["below"], below) <= exact


def test_distance_of_a_number_of_few_values_is_scipys_to_the_last_digit():
    from scipy.stats import ks_2samp

    draw = np.random.default_rng(4)
    before, after = draw.integers(0, 7, 5000).astype(float), draw.integers(1, 9, 900).astype(float)
    statistics = number_statistics(before)
    below = [float(np.mean(after <= point)) for point in statistics["points"]]
    assert kolmogorov_smirnov(statistics["below"], below) == pytest.approx(ks_2samp(before, after).statistic, abs=1e-12)


def test_divergence_is_scipys_distance_in_bits():
    from scipy.spatial.distance import jensenshannon

    before, after = [0.5, 0.3, 0.2, 0.0], [0.1, 0.3, 0.2, 0.4]
    assert jensen_shannon(before, after) == pytest.approx(jensenshannon(before, after, base=2))
