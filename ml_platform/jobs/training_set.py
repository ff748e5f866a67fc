"""The training set as a fit reads it: one pinned version in three splits, refused where it cannot teach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml_platform.engine.encoding import Encoding
from ml_platform.engine.package import Feature
from ml_platform.engine.preprocessing import asked_for
from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.jobs.labels import read_labels
from ml_platform.jobs.tables import as_columns, pinned_table, require_columns
from ml_platform.records.metric import Task
from ml_platform.records.model import FeatureType
from ml_platform.records.preprocessing import Step

SPLITS = ("train", "validate", "test")


@dataclass(frozen=True)
class TrainingRequest:
    """Which rows and columns to read.

    features: name → type, in the order of the model's columns. split_column: holds train, validate or test.
    storage_options: as for `pinned_table`. steps: of the pre-processing. slices: columns that quality is told by.
    """

    uri: str
    version: int
    features: Mapping[str, FeatureType]
    label: str
    split_column: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    task: Task = "binary"
    steps: tuple[Step, ...] = ()
    slices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """The rows of one split, in the table's order.

    columns: feature → values. matrix: the same, encoded. label: 0.0 or 1.0, the place of a class, or a value.
    slices: column → values, as the table has them.
    """

    columns: Mapping[str, NDArray[np.generic]]
    matrix: NDArray[np.float64]
    label: NDArray[np.float64]
    slices: Mapping[str, pa.ChunkedArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Lesson:
    """What is learned from.

    features: with the categories that the train split holds. classes: those of its labels, of a multiclass task.
    """

    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    splits: Mapping[str, Split]


def read_lesson(request: TrainingRequest) -> Lesson:
    """The rows of the pinned version, encoded.

    Raises PlatformError for a missing column, an empty split, a label that is missing or constant, a class that the
    train split does not have, an infinite number.
    """
    _check_roles(request)
    dataset = pinned_table(request.uri, request.version, request.storage_options)
    names = list(dict.fromkeys([*request.features, request.label, request.split_column, *request.slices]))
    require_columns(dataset, names, f"{request.uri} at version {request.version}")
    # The order of rows decides what bagging draws, so nothing may reorder them.
    parts = _cut(dataset.to_table(columns=names), request)
    columns = {split: as_columns(rows, request.features) for split, rows in parts.items()}
    known = [_feature(name, kind, columns["train"][name]) for name, kind in request.features.items()]
    features = asked_for(known, request.steps)
    classes, labels = read_labels(request.task, request.label, parts)
    encoding = Encoding(features)
    splits = {
        split: Split(
            columns[split],
            encoding.matrix(columns[split]),
            labels[split],
            {name: rows.column(name) for name in request.slices},
        )
        for split, rows in parts.items()
    }
    _check_finite(features, splits)
    return Lesson(features, classes, splits)


def _check_roles(request: TrainingRequest) -> None:
    if not request.features:
        raise DeclarationError("features is empty, but a model needs at least one")
    for name, kind in request.features.items():
        if kind not in ("number", "category"):
            raise DeclarationError(f"feature {name} is a {kind}, but a feature is a number or a category")
        if name in (request.label, request.split_column):
            raise DeclarationError(f"feature {name} is also the label or the split, but then the answer would leak")


def _cut(table: pa.Table, request: TrainingRequest) -> dict[str, pa.Table]:
    split = table.column(request.split_column).cast(pa.string())
    strange = sorted({str(value) for value in pc.unique(split).to_pylist()} - set(SPLITS))
    if strange:
        raise PlatformError(
            f"column {request.split_column} holds {', '.join(strange)}, but it says which split a row belongs to",
            allowed=f"Splits are {', '.join(SPLITS)}",
        )
    parts = {name: table.filter(pc.equal(split, name)) for name in SPLITS}
    for name, rows in parts.items():
        if len(rows) == 0:
            raise PlatformError(
                f"split {name} of {request.uri} is empty, but a fit needs rows in {', '.join(SPLITS)}",
                remedy="Widen the period that the split covers, or materialize what is missing upstream",
            )
    return parts


def _feature(name: str, kind: FeatureType, train: NDArray[np.generic]) -> Feature:
    if kind == "number":
        return Feature(name, kind)
    return Feature(name, kind, tuple(sorted({str(value) for value in train if value is not None})))


def _check_finite(features: tuple[Feature, ...], splits: Mapping[str, Split]) -> None:
    for split, rows in splits.items():
        infinite = np.isinf(rows.matrix).any(axis=0)
        if infinite.any():
            name = features[int(np.argmax(infinite))].name
            raise PlatformError(f"feature {name} is infinite somewhere in split {split}, but a number is finite")
