"""The tables that jobs read: pinned Delta versions and folders of Parquet, as the columns that a model takes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from ml_platform.engine.readable import require_readable
from ml_platform.errors import DeclarationError, PlatformError, nearest
from ml_platform.records.model import FeatureType

STORAGE_OPTIONS = "ML_PLATFORM_STORAGE_OPTIONS"

_COMPARISONS = {
    "=": lambda field, value: field == value,
    "==": lambda field, value: field == value,
    "!=": lambda field, value: field != value,
    "<": lambda field, value: field < value,
    "<=": lambda field, value: field <= value,
    ">": lambda field, value: field > value,
    ">=": lambda field, value: field >= value,
}


def pinned_table(uri: str, version: int, storage_options: Mapping[str, str] | None = None) -> ds.Dataset:
    """One version of a Delta table, not yet read; its files come in the order of their names, whatever its log says.

    storage_options: how to reach its store, in deltalake's spelling. Credentials come from the environment: the store's
    own variables, or ML_PLATFORM_STORAGE_OPTIONS, as JSON, which wins.
    Raises PlatformError where the table or its version cannot be opened.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    options = {**(storage_options or {}), **json.loads(os.environ.get(STORAGE_OPTIONS, "{}"))}
    try:
        opened = DeltaTable(uri, version=version, storage_options=options)
        # deltalake itself finds no column where they are mapped, and gives NULL for every value.
        require_readable(opened, f"{uri} at version {version}")
        table = opened.to_pyarrow_dataset()
    except (DeltaError, OSError) as error:
        raise PlatformError(
            f"table {uri} is pinned at version {version}, but cannot be opened there ({error})",
            remedy="Check that the table exists, that the version was not vacuumed, and that the job may read it",
        ) from error
    files = sorted(table.get_fragments(), key=lambda file: str(file.path))
    return ds.FileSystemDataset(files, table.schema, table.format, table.filesystem) if files else table


def parquet_files(folder: Path) -> ds.Dataset:
    """The Parquet files directly in a folder, ordered by name. Raises PlatformError where there is none."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise PlatformError(f"folder {folder} holds no Parquet file, but rows are read from it")
    return ds.dataset([str(file) for file in files], format="parquet")


def require_columns(dataset: ds.Dataset, names: Sequence[str], subject: str) -> None:
    """Raises PlatformError naming the first column that the dataset lacks."""
    for name in names:
        if name not in dataset.schema.names:
            raise PlatformError(
                f"column {name} is missing from {subject}, but the job needs it",
                allowed=nearest(name, dataset.schema.names),
            )


def row_filter(dataset: ds.Dataset, where: Sequence[Sequence[Any]]) -> ds.Expression | None:
    """The conjunction of filters `[column, operator, value]`; None where there is none.

    Operators are those of _COMPARISONS and `in`. Values take the column's type, so dates may be ISO 8601 text.
    """
    expression = None
    for column, operator, value in where:
        require_columns(dataset, [column], "the rows")
        part = _condition(dataset.schema.field(column), operator, value)
        expression = part if expression is None else expression & part
    return expression


def _condition(field: pa.Field, operator: str, value: Any) -> ds.Expression:
    if operator == "in":
        return pc.field(field.name).isin([_typed(field, one) for one in value])
    if operator not in _COMPARISONS:
        allowed = ", ".join([*_COMPARISONS, "in"])
        raise DeclarationError(f"filter operator is {operator}, but there is none", allowed=f"Operators are {allowed}")
    return _COMPARISONS[operator](pc.field(field.name), _typed(field, value))


def _typed(field: pa.Field, value: Any) -> pa.Scalar:
    parsed = value
    if isinstance(value, str) and pa.types.is_timestamp(field.type):
        parsed = datetime.fromisoformat(value)
    elif isinstance(value, str) and pa.types.is_date(field.type):
        parsed = date.fromisoformat(value)
    try:
        return pa.scalar(parsed, type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DeclarationError(f"filter value is {value!r}, but column {field.name} is of type {field.type}") from error


def as_columns(rows: pa.Table | pa.RecordBatch, features: Mapping[str, FeatureType]) -> dict[str, NDArray[np.generic]]:
    """Feature → float64 with NaN where missing, or text with None where missing, in the order of the rows.

    Raises PlatformError for a column whose type its feature cannot be made of.
    """
    return {name: _column(name, rows.column(name), kind) for name, kind in features.items()}


def _column(name: str, column: pa.ChunkedArray | pa.Array, kind: FeatureType) -> NDArray[np.generic]:
    arrow = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    wanted = pa.float64() if kind == "number" else pa.string()
    if not _fits(arrow, kind):
        allowed = "numbers or booleans" if kind == "number" else "text or whole numbers"
        raise PlatformError(
            f"column {name} is of type {arrow}, but is declared as a {kind}", allowed=f"A {kind} is made of {allowed}"
        )
    values: NDArray[np.generic] = column.cast(wanted).to_numpy(**_copying(column))
    return values


def _fits(arrow: pa.DataType, kind: FeatureType) -> bool:
    kinds = pa.types
    if kinds.is_null(arrow) or kinds.is_integer(arrow):
        return True
    if kind == "number":
        return bool(kinds.is_floating(arrow) or kinds.is_boolean(arrow) or kinds.is_decimal(arrow))
    return bool(kinds.is_string(arrow) or kinds.is_large_string(arrow) or kinds.is_string_view(arrow))


def _copying(column: pa.ChunkedArray | pa.Array) -> dict[str, bool]:
    # Only an Array has to be told that a copy is welcome; a ChunkedArray always makes one.
    return {"zero_copy_only": False} if isinstance(column, pa.Array) else {}
