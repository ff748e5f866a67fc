"""The Parquet writer of staged files: how their rows are encoded, by what the rows are."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_SAMPLE_ROWS = 16_384
_FIRST_ROWS = 4_096
_REPEATS = 5


def writer(sink: pa.NativeFile, rows: pa.Table) -> pq.ParquetWriter:
    """A writer for a file that begins with the rows; the same rows are always encoded the same.

    A column has a dictionary where its values repeat: one of values that do not takes half the time of writing, and
    makes the file larger. Decimals are integers where they fit into one, as Spark writes them.
    """
    return pq.ParquetWriter(
        sink,
        rows.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=repeating(rows.slice(0, _SAMPLE_ROWS)),
        store_decimal_as_integer=True,
    )


def repeating(rows: pa.Table) -> list[str]:
    """The columns with values that come five times in these rows, at the mean; a nested one counts as none.

    >>> repeating(pa.table({"id": range(10), "city": ["Bern", "Oslo"] * 5}))
    ['city']
    """
    flat = (field.name for field in rows.schema if not pa.types.is_nested(field.type))
    return [name for name in flat if _repeats(rows[name])]


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether its values come so often at the mean; most that do not are too many among the first rows already."""
    most = len(column) // _REPEATS
    return all(len(pc.unique(part)) <= most for part in (column.slice(0, _FIRST_ROWS), column))
