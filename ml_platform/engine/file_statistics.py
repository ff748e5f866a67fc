"""The statistics of a Parquet file in the form that the Delta protocol keeps them in its log."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from typing import Any

from ml_platform.engine.files import DAMAGED, filesystem
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location

_LONGEST = 64


def statistics(footer: Any) -> str:
    """Row count, and each column's lowest and highest value and count of NULLs, as JSON.

    footer: the file's `pyarrow.parquet.FileMetaData`. A column inside a struct or a list is left out; so are the
    bounds of long texts and of types that JSON cannot hold exactly.
    """
    lows: dict[str, Any] = {}
    highs: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index in range(footer.num_columns):
        column = footer.schema.column(index)
        chunks = [footer.row_group(group).column(index).statistics for group in range(footer.num_row_groups)]
        # A nested leaf goes by its own name, which may be another column's.
        if column.path != column.name or any(chunk is None for chunk in chunks):
            continue
        nulls[column.name] = sum(chunk.null_count for chunk in chunks)
        bounds = [_bounds(chunk) for chunk in chunks if chunk.null_count < chunk.num_values + chunk.null_count]
        known = [bound for bound in bounds if bound is not None]
        if known and len(known) == len(bounds):
            lows[column.name] = min(low for low, _ in known)
            highs[column.name] = max(high for _, high in known)
    return json.dumps({"numRecords": footer.num_rows, "minValues": lows, "maxValues": highs, "nullCount": nulls})


def rows_in(location: Location, path: str) -> int:
    """The rows of a file of which the log keeps no statistics, by its own footer.

    Raises ServiceError where that cannot be read.
    """
    import pyarrow.parquet as pq

    try:
        with filesystem(location).open_input_file(path) as stream:
            return int(pq.ParquetFile(stream).metadata.num_rows)
    except DAMAGED as error:
        raise ServiceError(
            f"{path} of {location.key} cannot be read, but its rows are only counted in it: "
            + str(error).partition("\n")[0],
            remedy="Restore the file, or the version before it came",
        ) from error


def _bounds(chunk: Any) -> tuple[Any, Any] | None:
    """The lowest and highest value as JSON can hold them; None where there is no exact form."""
    if not chunk.has_min_max:
        return None
    low, high = chunk.min, chunk.max
    if isinstance(low, datetime):
        return _instant(low), _instant(high)
    if isinstance(low, date):
        return low.isoformat(), high.isoformat()
    if isinstance(low, str) and max(len(low), len(high)) <= _LONGEST:
        return low, high
    if isinstance(low, bool) or not isinstance(low, int | float):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _instant(moment: datetime) -> str:
    if moment.tzinfo:
        return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    return moment.isoformat(timespec="microseconds")
