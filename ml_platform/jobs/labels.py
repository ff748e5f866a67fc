"""The labels that a fit learns from, as the numbers of their task, refused where they cannot teach."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_platform.engine.evaluation import classes_in, places_in
from ml_platform.errors import PlatformError
from ml_platform.jobs.tables import as_columns
from ml_platform.records.metric import Task

Labels = NDArray[np.float64]


def read_labels(task: Task, name: str, parts: Mapping[str, pa.Table]) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """The classes of a multiclass task, else none, and split → its labels.

    parts: split → rows. Raises PlatformError for a label that is missing, is none of its task, or is the same in every
    row of a split, and for a class that the train split does not have.
    """
    if task == "multiclass":
        return _of_classes(name, parts)
    read = _of_regression if task == "regression" else _of_binary
    return (), {split: read(name, rows, split) for split, rows in parts.items()}


def _of_binary(name: str, rows: pa.Table, split: str) -> Labels:
    label = _numbers(name, rows)
    if not np.isin(label, (0.0, 1.0)).all():
        raise PlatformError(
            f"label {name} is missing or neither 0 nor 1 in split {split}, but the task is binary",
            remedy=_leave_out(name),
        )
    if len(np.unique(label)) < 2:
        raise PlatformError(
            f"label {name} is {label[0]:g} in every row of split {split}, but a model needs rows of both kinds"
        )
    return label


def _of_regression(name: str, rows: pa.Table, split: str) -> Labels:
    label = _numbers(name, rows)
    if not np.isfinite(label).all():
        raise PlatformError(
            f"label {name} is missing or not finite in split {split}, but the task is regression",
            remedy=_leave_out(name),
        )
    if len(np.unique(label)) < 2:
        raise PlatformError(
            f"label {name} is {label[0]:g} in every row of split {split}, but nothing is learned from a constant"
        )
    return label


def _of_classes(name: str, parts: Mapping[str, pa.Table]) -> tuple[tuple[str, ...], dict[str, Labels]]:
    values = {split: _texts(name, rows) for split, rows in parts.items()}
    for split, found in values.items():
        if any(value is None for value in found):
            raise PlatformError(
                f"label {name} is missing somewhere in split {split}, but the task is multiclass",
                remedy=_leave_out(name),
            )
        if len(classes_in(found)) < 2:
            raise PlatformError(
                f"label {name} is {found[0]!r} in every row of split {split}, but a model needs rows of several classes"
            )
    classes = classes_in(values["train"])
    for split, found in values.items():
        strange = sorted({*classes_in(found)} - {*classes})
        if strange:
            raise PlatformError(
                f"label {name} is {strange[0]!r} in {found.count(strange[0])} rows of split {split}, but in none of "
                "train, so that no model could say it",
                remedy="Widen the period of train, or leave such rows out by the training set's where",
            )
    return classes, {split: places_in(found, classes) for split, found in values.items()}


def _numbers(name: str, rows: pa.Table) -> Labels:
    return as_columns(rows, {name: "number"})[name].astype(np.float64)


def _texts(name: str, rows: pa.Table) -> list[str | None]:
    return list(as_columns(rows, {name: "category"})[name])


def _leave_out(name: str) -> str:
    return f"Leave such rows out by the training set's where, for instance {name} IS NOT NULL"
