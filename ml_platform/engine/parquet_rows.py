"""Parquet: rows of a file, some at a time, each value only where its declared type holds it without loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml_platform.engine.column_types import arrow_type, plain, plain_type
from ml_platform.engine.held import beyond, holds
from ml_platform.engine.source_rows import Part, fitted

_BATCH_ROWS = 122_880


def opened(stream: Any) -> pq.ParquetFile:
    """The file, ready to be read in parts. Raises ArrowInvalid or OSError for one that is damaged."""
    return pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True)


def rows(file: pq.ParquetFile, columns: Mapping[str, str]) -> Iterator[Part]:
    """The rows, with the columns in the declared order; those of which a value does not fit are misfits."""
    import numpy as np

    start = 0
    for batch in batches(file, list(columns)):
        offsets = pa.array(np.arange(start, start + batch.num_rows, dtype=np.int64))
        checked = pa.record_batch([_as_text(column) for column in batch.columns], names=batch.schema.names)
        yield fitted(checked, offsets, columns, _converted)
        start += batch.num_rows


def _as_text(column: pa.Array) -> pa.Array:
    """The column; as bytes where they are no UTF-8, which Parquet does not look at and readers stumble on."""
    if not pa.types.is_string(plain_type(column.type)):
        return column
    texts = plain(column)
    if pa.types.is_string_view(texts.type):
        texts = texts.cast(pa.string())
    if _is_ascii(texts):
        return texts
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return texts.cast(pa.large_binary() if pa.types.is_large_string(texts.type) else pa.binary())
    return texts


def _is_ascii(texts: pa.Array) -> bool:
    """Whether all bytes are, at once: to look at one text after the other takes as long as a tenth of the reading."""
    import numpy as np

    content = texts.buffers()[2]
    return content is None or not content.size or bool(np.frombuffer(content, np.uint8).max() < 128)


def batches(file: pq.ParquetFile, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The file's rows as they stand in it. Raises ArrowInvalid, behind them, where its footer counts others.

    pyarrow gives of a file whose footer is damaged what it finds, and says nothing.
    """
    came = 0
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
        came += batch.num_rows
        yield batch
    groups = sum(file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups))
    if not came == groups == file.metadata.num_rows:
        raise pa.ArrowInvalid(f"its footer says {file.metadata.num_rows} rows, and {came} are in it")


def _converted(column: pa.Array, kind: str) -> pa.Array:
    if kind == "string" and pa.types.is_decimal(plain(column).type):
        return _in_digits(plain(column))
    found = plain(column).cast(arrow_type(kind))
    if kind in ("date", "timestamp") and not holds(found):
        shown = found.take(beyond(found).slice(0, 1)).cast(pa.string())[0].as_py()
        raise pa.ArrowInvalid(f"{shown} is outside the years 1 to 9999, which tables hold")
    return found


def _in_digits(column: pa.Array) -> pa.Array:
    """Decimals as a database writes them; Arrow writes small ones with an exponent."""
    import polars as pl

    exact = column.cast(pa.decimal128(column.type.precision, column.type.scale))
    return pl.Series(exact).cast(pl.String).to_arrow().cast(pa.string())
