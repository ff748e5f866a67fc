"""The worst slices: how bad a model may be on a part of the rows, as far as they can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_platform.engine.bootstrap import enough, interval
from ml_platform.engine.resampled import resampled
from ml_platform.engine.slices import parts
from ml_platform.records.gate import SliceFinding, SliceFindings
from ml_platform.records.metric import HIGHER_IS_BETTER, Task

MOST = 10  # that are kept: a registry's tags are short
TOGETHER = "(each with too few rows)"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sought:
    """What is asked of slices. min_rows: with fewer, nothing is said of a slice. resamples: at the least."""

    metric: str
    min_rows: int
    confidence: float
    resamples: int
    seed: int


def worst_slices(
    task: Task,
    columns: Mapping[str, pa.ChunkedArray],
    label: NDArray[np.float64],
    score: NDArray[np.float64],
    sought: Sought,
) -> SliceFindings:
    """The metric on every slice with enough rows, and the worse end of its interval.

    Numbers are cut at their quarters, texts by their 20 most frequent values. A column's slices that have too few rows
    are one together. By Bonferroni (Dunn, Journal of the American Statistical Association 56, 1961) the share that an
    interval may miss is divided by the number of slices, so that all of them hold at once with the confidence asked.
    """
    slices = [it for name, column in columns.items() for it in _of_column(name, column, sought.min_rows)]
    judged = [it for it in slices if it[2].sum() >= sought.min_rows]
    unjudged = sum(int(rows.sum()) for *_, rows in slices if rows.sum() < sought.min_rows)
    confidence = 1 - (1 - sought.confidence) / max(len(judged), 1)
    found = [_found(task, label, score, it, sought, confidence) for it in judged]
    worst = sorted(found, key=lambda it: _badness(sought.metric, it.bound), reverse=True)
    return SliceFindings(tuple(worst[:MOST]), len(found), unjudged, confidence)


def _of_column(name: str, column: pa.ChunkedArray, min_rows: int) -> Iterator[tuple[str, str, Mask]]:
    few = np.zeros(len(column), dtype=np.bool_)
    for value, rows in parts(column, column):
        if rows.sum() >= min_rows:
            yield name, value, rows
        else:
            few |= rows
    if few.any():
        yield name, TOGETHER, few


def _found(
    task: Task,
    label: NDArray[np.float64],
    score: NDArray[np.float64],
    part: tuple[str, str, Mask],
    sought: Sought,
    confidence: float,
) -> SliceFinding:
    name, value, rows = part
    metric = resampled(task, sought.metric, label[rows], score[rows])
    count = int(rows.sum())
    resamples = enough(confidence, sought.resamples)
    told = interval(metric, count, confidence=confidence, resamples=resamples, seed=sought.seed)
    return SliceFinding(name, value, count, told.estimate, told.low if HIGHER_IS_BETTER[sought.metric] else told.high)


def _badness(metric: str, bound: float) -> float:
    """The higher, the worse; what is not known is the worst."""
    if np.isnan(bound):
        return float("inf")
    return -bound if HIGHER_IS_BETTER[metric] else bound
