from __future__ import annotations

import doctest

import numpy as np
import pytest

from ml_platform.engine import metrics, quality
from ml_platform.engine.quality import Estimate, Labelled, area, area_deviation, decayed, estimate, mean


def test_worked_numbers_of_the_docstrings_hold() -> None:
    assert doctest.testmod(quality).failed == 0


def test_interval_of_a_mean_is_scipys_normal_one() -> None:
    from scipy.stats import norm, sem

    values = np.random.default_rng(8).gamma(2, size=400)
    found = mean(values.sum(), (values**2).sum(), len(values))
    expected = norm.interval(0.95, loc=values.mean(), scale=sem(values))
    assert (found.lower, found.upper) == pytest.approx(expected)


def test_area_from_bins_is_that_of_the_scores() -> None:
    draw = np.random.default_rng(9)
    label = draw.random(3000) < 0.3
    score = np.clip(np.where(label, 0.5, 0.35) + draw.normal(0, 0.15, 3000), 0, 0.9999)
    place = (score * quality.PROBABILITY_BINS).astype(int)
    up, down = (np.bincount(place[label == which], minlength=1000) for which in (True, False))
    assert area(up, down).value == pytest.approx(metrics.roc_auc(label, score), abs=1e-3)


def test_deviation_of_an_area_is_the_spread_of_many_samples() -> None:
    # given normal scores a deviation apart, whose area is 0.76
    draw = np.random.default_rng(10)
    found = [
        metrics.roc_auc([1] * 60 + [0] * 90, np.concatenate([draw.normal(1, 1, 60), draw.normal(size=90)]))
        for _ in range(600)
    ]
    assert area_deviation(0.76, 60, 90) == pytest.approx(np.std(found), rel=0.1)


def test_root_of_a_mean_square_has_the_roots_of_its_ends() -> None:
    found = estimate("rmse", Labelled(rows=4, sums={"mse": (16.0, 64.0)}))
    assert found == Estimate(2.0, 2.0, 2.0)


def test_no_label_and_one_class_alone_give_no_value() -> None:
    assert estimate("log_loss", Labelled()) is None
    assert estimate("roc_auc", Labelled(rows=3, positives=[3], negatives=[0])) is None


@pytest.mark.parametrize(
    ("metric", "found", "limit", "expected"),
    [
        ("log_loss", Estimate(0.6, 0.55, 0.65), 0.5, True),
        ("log_loss", Estimate(0.6, 0.45, 0.75), 0.5, False),
        ("roc_auc", Estimate(0.6, 0.55, 0.65), 0.7, True),
        ("roc_auc", Estimate(0.6, 0.45, 0.75), 0.7, False),
    ],
)
def test_quality_has_decayed_only_where_its_whole_interval_has(
    metric: str, found: Estimate, limit: float, expected: bool
) -> None:
    assert decayed(metric, found, limit) is expected
