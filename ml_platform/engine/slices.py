"""Slices: the quality of a model, told apart by the values of a column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_platform.engine.encoding import spelled
from ml_platform.engine.evaluation import evaluate
from ml_platform.records.metric import METRICS, Task

MOST = 20
LEAST_ROWS = 30
_QUARTERS = (0.25, 0.5, 0.75)


def slice_table(
    task: Task,
    columns: Mapping[str, pa.ChunkedArray],
    learned: Mapping[str, pa.ChunkedArray],
    label: NDArray[np.float64],
    score: NDArray[np.float64],
) -> list[dict[str, Any]]:
    """A row a slice, largest first within its column: `column`, `value`, `rows`, and every metric.

    A number is cut at the quarters of what was learned from; of a text or a truth, the 20 most frequent values stand
    alone. A metric is None where a slice has fewer than 30 rows, or where it cannot be worked out.

    columns: of the rows that are scored. learned: the same of the train split.
    """
    return [
        {"column": name, "value": value, "rows": int(rows.sum()), **_measured(task, label[rows], score[rows])}
        for name, column in columns.items()
        for value, rows in parts(column, learned[name])
    ]


def _measured(task: Task, label: NDArray[np.float64], score: NDArray[np.float64]) -> dict[str, float | None]:
    if len(label) < LEAST_ROWS:
        return dict.fromkeys(METRICS[task])
    with np.errstate(invalid="ignore", divide="ignore"):
        measured = evaluate(task, label, score)
    return {name: value if np.isfinite(value) else None for name, value in measured.items()}


def parts(column: pa.ChunkedArray, learned: pa.ChunkedArray) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The name of each slice of a column, largest first, and which rows are in it; every row is in one.

    learned: the column's values by whose quarters numbers are cut.
    """
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        names = _binned(_numbers(column), _numbers(learned))
    else:
        names = np.array(["(missing)" if value is None else spelled(value) for value in column.to_pylist()])
    values, counts = np.unique(names, return_counts=True)
    leading = [str(values[at]) for at in np.argsort(-counts, kind="stable")[:MOST]]
    for value in leading:
        yield value, names == value
    rest = ~np.isin(names, leading)
    if rest.any():
        yield "(all others)", rest


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)


def _binned(values: NDArray[np.float64], learned: NDArray[np.float64]) -> NDArray[np.str_]:
    """The name of each value's quarter."""
    present = learned[~np.isnan(learned)]
    edges = np.unique(np.quantile(present, _QUARTERS)) if len(present) else present
    bounds = [f"{edge:g}" for edge in edges]
    names = ["all", "(missing)"]
    if bounds:
        between = [f"{low} to {high}" for low, high in pairwise(bounds)]
        names = [f"up to {bounds[0]}", *between, f"above {bounds[-1]}", "(missing)"]
    places = np.where(np.isnan(values), len(names) - 1, np.searchsorted(edges, values, side="left"))
    return np.array(names)[places]
