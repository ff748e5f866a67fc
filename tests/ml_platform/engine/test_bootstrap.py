from __future__ import annotations

import doctest
from itertools import product

import numpy as np
import pytest
import scipy.stats

from ml_platform.engine import bootstrap
from ml_platform.engine.bootstrap import enough, interval


def mean_difference(first: np.ndarray, second: np.ndarray):
    return lambda rows: float(first[rows].mean() - second[rows].mean())


def test_the_paired_interval_is_that_of_scipy():
    # given two losses of the same 250 rows
    draw = np.random.default_rng(3)
    champion = draw.gamma(2.0, size=250)
    candidate = champion + draw.normal(-0.05, 0.3, size=250)
    found = interval(mean_difference(champion, candidate), 250, confidence=0.9, resamples=999, seed=11)
    theirs = scipy.stats.bootstrap(
        (champion, candidate),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        confidence_level=0.9,
        n_resamples=999,
        method="percentile",
        rng=np.random.default_rng(11),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert found.estimate == pytest.approx(champion.mean() - candidate.mean())


def test_bounds_are_those_of_every_equally_likely_draw():
    # Of three rows, the 27 draws can be written down; 60,000 of them at random come near.
    values = np.array([0.0, 1.0, 5.0])
    every = [np.mean(values[list(drawn)]) for drawn in product(range(3), repeat=3)]
    found = interval(lambda rows: float(values[rows].mean()), 3, confidence=0.8, resamples=60_000, seed=0)
    assert (found.low, found.high) == pytest.approx(np.quantile(every, [0.1, 0.9], method="inverted_cdf"))


def test_rows_that_differ_alike_have_an_interval_without_width():
    # Unpaired, it would be as wide as the losses are.
    losses = np.linspace(0, 100, 50)
    found = interval(mean_difference(losses + 1, losses), 50, confidence=0.95, resamples=200, seed=0)
    assert (found.low, found.high) == pytest.approx((1, 1))


@pytest.mark.parametrize(("rows", "values"), [(0, []), (3, [1.0, float("nan"), 2.0])], ids=["no row", "no value"])
def test_what_cannot_be_told_has_no_bounds(rows, values):
    found = interval(lambda drawn: float(np.array(values)[drawn].mean()), rows, confidence=0.95, resamples=50, seed=0)
    assert np.isnan([found.estimate, found.low, found.high]).all()


def test_a_seed_draws_alike():
    values = np.arange(20.0)
    drawn = [
        interval(lambda rows: float(values[rows].mean()), 20, confidence=0.9, resamples=100, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_narrower_tail_takes_more_draws():
    assert [enough(confidence, 2000) for confidence in (0.95, 0.9975)] == [2000, 4000]


def test_worked_example_holds():
    assert doctest.testmod(bootstrap).failed == 0
