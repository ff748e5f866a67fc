"""Selected rows: what a query gives of a database's table, with one type for each column that it keeps to the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_platform.engine.database import Database

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Selected:
    """A query of a table's rows.

    types: of its columns, in their order; None for one that stays as the driver gives it. before: how many rows the
    query gives that are not the table's, but tell the driver what type a column has.
    """

    table: str
    query: str
    types: Sequence[pa.DataType | None]
    before: int = 0


@contextmanager
def rows(selected: Selected, database: Database) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The schema of the rows, and the rows as a stream."""
    import pyarrow as pa

    with database.reader(selected.query) as reader:
        types = zip(reader.schema, selected.types, strict=True)
        schema = pa.schema([pa.field(field.name, kind or field.type) for field, kind in types])
        yield schema, _shaped(reader, schema, selected)


def _shaped(reader: pa.RecordBatchReader, schema: pa.Schema, selected: Selected) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    before = selected.before
    for batch in reader:
        skipped = min(before, batch.num_rows)
        before -= skipped
        yield pa.RecordBatch.from_arrays(batch.slice(skipped).columns, schema=schema)
