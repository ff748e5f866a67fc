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
from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.jobs.tables import as_columns, pinned_table, require_columns
from ml_platform.records.model import FeatureType

SPLITS = ("train", "validate", "test")


@dataclass(frozen=True)
class TrainingRequest:
    """Which rows and columns to read.

    features: name → type, in the order of the model's columns. split_column: holds train, validate or test.
    storage_options: as for `pinned_table`.
    """

    uri: str
    version: int
    features: Mapping[str, FeatureType]
    label: str
    split_column: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Split:
    """The rows of one split, in the table's order.

    columns: feature → values. matrix: the same, encoded. label: 0.0 or 1.0.
    """

    columns: Mapping[str, NDArray[np.generic]]
    matrix: NDArray[np.float64]
    label: NDArray[np.float64]


def read_splits(request: TrainingRequest) -> tuple[tuple[Feature, ...], dict[str, Split]]:
    """The features, with the categories that the train split holds, and the three splits.

    Raises PlatformError for a missing column, an empty split, a label that is missing or constant, an infinite number.
    """
    _check_roles(request)
    dataset = pinned_table(request.uri, request.version, request.storage_options)
    names = [*request.features, request.label, request.split_column]
    require_columns(dataset, names, f"{request.uri} at version {request.version}")
    # The order of rows decides what bagging draws, so nothing may reorder them.
    parts = _cut(dataset.to_table(columns=names), request)
    columns = {split: as_columns(rows, request.features) for split, rows in parts.items()}
    features = tuple(_feature(name, kind, columns["train"][name]) for name, kind in request.features.items())
    encoding = Encoding(features)
    splits = {
        split: Split(columns[split], encoding.matrix(columns[split]), _label(rows, split, request.label))
        for split, rows in parts.items()
    }
    _check_finite(features, splits)
    return features, splits


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


def _label(rows: pa.Table, split: str, name: str) -> NDArray[np.float64]:
    label = as_columns(rows, {name: "number"})[name].astype(np.float64)
    if not np.isin(label, (0.0, 1.0)).all():
        raise PlatformError(f"label {name} is missing or neither 0 nor 1 in split {split}, but the task is binary")
    if len(np.unique(label)) < 2:
        raise PlatformError(
            f"label {name} is {label[0]:g} in every row of split {split}, but a model needs rows of both kinds"
        )
    return label


def _check_finite(features: tuple[Feature, ...], splits: Mapping[str, Split]) -> None:
    for split, rows in splits.items():
        infinite = np.isinf(rows.matrix).any(axis=0)
        if infinite.any():
            name = features[int(np.argmax(infinite))].name
            raise PlatformError(f"feature {name} is infinite somewhere in split {split}, but a number is finite")
