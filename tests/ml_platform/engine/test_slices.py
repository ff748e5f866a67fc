from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from ml_platform.engine.slices import LEAST_ROWS, MOST, slice_table


def table(column: pa.ChunkedArray, learned: pa.ChunkedArray | None = None):
    draw = np.random.default_rng(4)
    score = draw.random(len(column))
    label = (draw.random(len(column)) < score).astype(float)
    rows = slice_table("binary", {"by": column}, {"by": learned or column}, label, score)
    return rows, label, score


def test_values_stand_alone_by_their_rows():
    column = pa.chunked_array([["UA"] * 100, ["AA"] * 50, [None] * 40])
    rows, label, score = table(column)
    assert [(row["value"], row["rows"]) for row in rows] == [("UA", 100), ("AA", 50), ("(missing)", 40)]
    assert rows[0]["roc_auc"] == pytest.approx(roc_auc_score(label[:100], score[:100]))


def test_numbers_are_cut_at_the_quarters_of_train():
    rows, _, _ = table(pa.chunked_array([[1.0, 2.0, 2.5, 9.0, None]]), pa.chunked_array([[1.0, 2.0, 3.0, 4.0, 5.0]]))
    assert {row["value"]: row["rows"] for row in rows} == {
        "up to 2": 2,
        "2 to 3": 1,
        "above 4": 1,
        "(missing)": 1,
    }


def test_what_is_beyond_the_most_frequent_is_one_slice():
    values = [f"v{number:02d}" for number in range(MOST + 5) for _ in range(number + 1)]
    rows, _, _ = table(pa.chunked_array([values]))
    assert len(rows) == MOST + 1
    assert (rows[-1]["value"], rows[-1]["rows"]) == ("(all others)", 1 + 2 + 3 + 4 + 5)
    assert sum(row["rows"] for row in rows) == len(values)


def test_few_rows_tell_nothing():
    rows, _, _ = table(pa.chunked_array([["UA"] * LEAST_ROWS, ["AA"] * (LEAST_ROWS - 1)]))
    assert rows[0]["log_loss"] > 0
    assert rows[1]["log_loss"] is None
    assert rows[0].keys() == rows[1].keys()


def test_metric_that_cannot_be_worked_out_is_none():
    column = pa.chunked_array([["UA"] * 40])
    (row,) = slice_table("binary", {"by": column}, {"by": column}, np.ones(40), np.full(40, 0.5))
    assert row["roc_auc"] is None
    assert row["accuracy"] == 1
