from __future__ import annotations

import doctest
from collections import Counter

import numpy as np
import pytest

from ml_platform.engine import distributions
from ml_platform.engine.distributions import MISSING, UNREADABLE, Bins, Counts, added, bins_of, counted, moved, trained
from ml_platform.engine.drift import DriftRules, category_statistics, measure, number_statistics


def binned(bins: Bins, values: np.ndarray) -> Counts:
    """The counts of values, as the database counts them."""
    present = values[~np.isnan(values)]
    by_bin: Counter[int] = Counter(np.searchsorted(bins.cuts, present, side="left").tolist())
    return Counts({**by_bin, MISSING: len(values) - len(present)})


def test_worked_numbers_of_the_docstrings_hold() -> None:
    assert doctest.testmod(distributions).failed == 0


def test_counts_in_bins_give_the_index_that_the_values_give() -> None:
    draw = np.random.default_rng(5)
    statistics = number_statistics(np.where(draw.random(4000) < 0.1, np.nan, draw.normal(size=4000)))
    window = np.where(draw.random(900) < 0.3, np.nan, draw.normal(0.4, 1.2, size=900))
    bins = bins_of(statistics)
    found = moved(trained(statistics), counted(bins, binned(bins, window)))
    by_values = measure("wind", statistics, window, DriftRules())
    assert found.psi == pytest.approx(by_values.psi)
    assert found.null_share == pytest.approx(by_values.null_share)


def test_distance_by_counts_is_within_a_hundredth_of_scipys() -> None:
    from scipy.stats import ks_2samp

    draw = np.random.default_rng(6)
    before, after = draw.normal(size=9000), draw.normal(0.3, 1, size=2500)
    statistics = number_statistics(before)
    bins = bins_of(statistics)
    exact = ks_2samp(before, after).statistic
    found = moved(trained(statistics), counted(bins, binned(bins, after))).ks
    assert found is not None
    assert exact - 0.01 <= found <= exact


def test_divergence_by_counts_is_scipys_over_bins_and_what_is_missing() -> None:
    from scipy.spatial.distance import jensenshannon

    statistics = category_statistics(["a"] * 6 + ["b"] * 3 + [None])
    window = Counts({"a": 2, "b": 4, "c": 3, MISSING: 1})
    found = moved(trained(statistics), counted(Bins("category"), window))
    assert found.jensen_shannon == pytest.approx(jensenshannon([6, 3, 0, 1], [2, 4, 3, 1], base=2))


def test_windows_add_up() -> None:
    draw = np.random.default_rng(7)
    statistics = number_statistics(draw.normal(size=3000))
    bins, parts = bins_of(statistics), [draw.normal(size=100), draw.normal(1, 1, size=300)]
    together = counted(bins, binned(bins, np.concatenate(parts)))
    assert counted(bins, added(binned(bins, part) for part in parts)) == together


def test_package_from_before_points_were_kept_is_compared_at_its_edges() -> None:
    # given two bins of one half each, of which the window has all rows in the second
    statistics = {"type": "number", "edges": [0.0], "shares": [0.5, 0.5], "null_share": 0.0}
    assert moved(trained(statistics), counted(bins_of(statistics), Counts({1: 10}))).ks == pytest.approx(0.5)


def test_what_is_no_number_is_missing_and_told_apart() -> None:
    statistics = number_statistics(np.arange(10.0))
    found = counted(bins_of(statistics), Counts({0: 6, UNREADABLE: 4}))
    assert (found.null_share, found.unreadable) == (0.4, 0.4)


def test_whole_numbers_as_categories_are_one_value_as_integers_and_as_floats() -> None:
    assert counted(Bins("category"), Counts({5.0: 3, "5": 1})).bins == {"5": 1.0}


def test_feature_without_a_value_in_either_stands_still() -> None:
    statistics = number_statistics(np.full(4, np.nan))
    found = moved(trained(statistics), counted(bins_of(statistics), Counts({MISSING: 5})))
    assert (found.psi, found.ks, found.jensen_shannon) == (0, 0, 0)
