"""Selected rows: what a query gives of a database's table, with one type for each column that it keeps to the end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_platform.engine.column_types import kind_of
from ml_platform.engine.database import Database
from ml_platform.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa


# Where PostgreSQL's driver says what the database calls a type.
_TYPE = b"POSTGRESQL:type"
# How the drivers name a column, by its place.
_COLUMN = re.compile(r"column (\d+)")


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
    """The schema of the rows, and the rows as a stream. Raises SourceError where it does not come to its end."""
    import pyarrow as pa

    with database.reader(selected.query) as reader:
        types = zip(reader.schema, selected.types, strict=True)
        schema = pa.schema([pa.field(field.name, kind or field.type) for field, kind in types])
        _require_taken(schema, reader.schema, selected.table)
        yield schema, _shaped(reader, schema, selected)


def _require_taken(schema: pa.Schema, found: pa.Schema, table: str) -> None:
    """Returns where a source can declare each column; one that it cannot would make the file one that nobody reads."""
    import pyarrow as pa

    refused = [
        f"{field.name}, of type {(given.metadata or {}).get(_TYPE, str(field.type).encode()).decode()}"
        for field, given in zip(schema, found, strict=True)
        if not pa.types.is_null(field.type) and kind_of(field.type) is None
    ]
    if refused:
        raise SourceError(
            f"{table} has the columns {'; '.join(refused)}, but no source takes such values",
            allowed="Sources take texts, whole numbers, floats, decimals, booleans, dates, and times with a zone",
            remedy="Declare a view of the table that casts them, for instance to text or AT TIME ZONE 'UTC', or "
            "that leaves them out",
        )


def _shaped(reader: pa.RecordBatchReader, schema: pa.Schema, selected: Selected) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    before = selected.before
    try:
        for batch in reader:
            skipped = min(before, batch.num_rows)
            before -= skipped
            own = batch.slice(skipped)
            columns = [
                _column(column, field, selected.table) for column, field in zip(own.columns, schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
    except (OSError, pa.ArrowException) as error:
        said = _COLUMN.sub(lambda found: f"{found[0]}, {schema.names[int(found[1])]}", str(error).partition("\n")[0])
        raise SourceError(
            f"{selected.table} cannot be read to its end, so nothing of it has landed: {said}",
            remedy="Mend the rows, or declare a view of the table that leaves them out; then run again",
        ) from error


def _column(column: pa.Array, field: pa.Field, table: str) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_null(field.type):
        return pa.nulls(len(column))
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_decimal(field.type):
        return _decimals(column, field, table)
    if pa.types.is_string(field.type):
        _require_text(column, field.name, table)
    return column


def _decimals(column: pa.Array, field: pa.Field, table: str) -> pa.Array:
    import pyarrow as pa

    try:
        return column.cast(field.type)
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{table} has in its column {field.name} a number that is none, such as NaN, but {field.type} has no such",
            remedy=f"Mend the row, or declare a view of the table that casts {field.name}, for instance to text",
        ) from error


def _require_text(column: pa.Array, name: str, table: str) -> None:
    """Returns where every text is one; SQLite takes any bytes for it."""
    import pyarrow as pa

    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{table} has in its column {name} a text that is no UTF-8, but texts land as that",
            remedy=f"Mend the row, or declare a view of the table that writes {name} otherwise, for instance by hex()",
        ) from error
