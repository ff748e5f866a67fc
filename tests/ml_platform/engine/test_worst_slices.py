from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ml_platform.engine.bootstrap import interval
from ml_platform.engine.resampled import resampled
from ml_platform.engine.worst_slices import TOGETHER, Sought, worst_slices

SOUGHT = Sought("mae", min_rows=40, confidence=0.95, resamples=500, seed=3)
# 100 rows of AA that are missed by 1 or 3, 60 of UA by 1, 30 each of two others by 2.
NAMES = ["AA"] * 100 + ["UA"] * 60 + ["B6"] * 30 + ["9E"] * 30
MISSED = np.concatenate([np.tile([1.0, 3.0], 50), np.ones(60), np.full(60, 2.0)])


def found(sought=SOUGHT, **columns):
    named = {name: pa.chunked_array([values]) for name, values in (columns or {"carrier": NAMES}).items()}
    return worst_slices("regression", named, np.zeros(len(MISSED)), MISSED, sought)


def test_slices_stand_worst_first_and_small_ones_are_judged_together():
    slices = found().slices
    assert [(it.value, it.rows, it.estimate) for it in slices] == [
        ("AA", 100, 2.0),
        (TOGETHER, 60, 2.0),
        ("UA", 60, 1.0),
    ]
    # What never varies has a bound that is its mean.
    assert [it.bound for it in slices[1:]] == [2.0, 1.0]


def test_the_interval_is_wider_the_more_slices_there_are():
    three = found()
    assert three.judged == 3
    assert three.confidence == pytest.approx(1 - 0.05 / 3)
    label = np.zeros(100)
    alone = interval(
        resampled("regression", "mae", label, MISSED[:100]),
        100,
        confidence=1 - 0.05 / 3,
        resamples=600,
        seed=3,
    )
    assert three.slices[0].bound == alone.high
    assert (
        alone.high
        > interval(
            resampled("regression", "mae", label, MISSED[:100]), 100, confidence=0.95, resamples=500, seed=3
        ).high
    )


def test_of_rows_that_are_too_few_even_together_nothing_is_said():
    told = found(Sought("mae", min_rows=70, confidence=0.95, resamples=100, seed=3))
    assert [it.value for it in told.slices] == ["AA", TOGETHER]
    few = found(Sought("mae", min_rows=400, confidence=0.95, resamples=100, seed=3))
    assert (few.slices, few.judged, few.unjudged_rows) == ((), 0, 220)


def test_numbers_are_cut_at_their_quarters_and_columns_judged_side_by_side():
    told = found(carrier=NAMES, distance=list(range(220)))
    assert told.judged == 3 + 4
    assert {it.value for it in told.slices if it.column == "distance"} == {
        "up to 54.75",
        "54.75 to 109.5",
        "109.5 to 164.25",
        "above 164.25",
    }


def test_a_slice_whose_metric_is_not_known_is_the_worst():
    label = np.concatenate([np.tile([0.0, 1.0], 60), np.zeros(100)])
    score = np.tile([0.2, 0.9], 110)
    column = {"carrier": pa.chunked_array([["AA"] * 120 + ["UA"] * 100])}
    slices = worst_slices("binary", column, label, score, Sought("roc_auc", 40, 0.95, 100, 0)).slices
    assert [it.value for it in slices] == ["UA", "AA"]
    assert np.isnan(slices[0].bound)
    assert slices[1].bound == 1.0


def test_no_more_than_ten_are_told():
    names = [f"N{number % 15}" for number in range(220)]
    told = found(Sought("mae", min_rows=5, confidence=0.95, resamples=50, seed=0), tail=names)
    assert (len(told.slices), told.judged) == (10, 15)
