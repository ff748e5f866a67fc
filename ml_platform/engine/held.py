"""Held values: what Arrow makes of a column though its declared type, or a reader of the table, does not hold it.

Delta's readers take the years 1 to 9999. A decimal that Arrow reads from text may have more digits than its type.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_DAY_MICROSECONDS = 24 * 3600 * 10**6
_FIRST_DAY = date.min.toordinal() - date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - date(1970, 1, 1).toordinal()


def holds(column: pa.Array) -> bool:
    """Whether the column's type, and every reader of a table, holds all of its values; infinity is doubtful."""
    if pa.types.is_floating(column.type):
        return not pc.any(pc.is_inf(column)).as_py()
    if pa.types.is_decimal128(column.type):
        return _is_valid(column)
    values, least, most = _bounded(column)
    if values is None:
        return True
    found = pc.min_max(values).as_py()
    return found["min"] is None or bool(least <= found["min"] and found["max"] <= most)


def beyond(column: pa.Array) -> pa.Array:
    """The places of the values that it does not hold."""
    if pa.types.is_floating(column.type):
        return pc.indices_nonzero(pc.is_inf(column))
    values, least, most = _bounded(column)
    if values is None:
        return pa.array([], pa.uint64())
    ends = [pa.scalar(end, values.type) for end in (least, most)]
    return pc.indices_nonzero(pc.or_(pc.less(values, ends[0]), pc.greater(values, ends[1])))


def _is_valid(column: pa.Array) -> bool:
    """Whether Arrow finds no fault in a column; of decimals it looks at each one's digits."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _bounded(column: pa.Array) -> tuple[pa.Array | None, Any, Any]:
    """The column as it compares fast, its least value and its greatest; None where its type cannot be exceeded."""
    kind = column.type
    if kind == pa.date32():
        return column.view(pa.int32()), _FIRST_DAY, _LAST_DAY
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        first, behind = _FIRST_DAY * _DAY_MICROSECONDS, (_LAST_DAY + 1) * _DAY_MICROSECONDS
        return column.view(pa.int64()), first, behind - 1
    if pa.types.is_decimal128(kind):
        most = f"{'9' * kind.precision}E-{kind.scale}"
        return column, Decimal(f"-{most}"), Decimal(most)
    return None, 0, 0
