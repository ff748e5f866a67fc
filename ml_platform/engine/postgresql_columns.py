"""The columns of a PostgreSQL table: what its driver wraps, as the plain type that a source declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_platform.engine.database import Database, column_name, quoted
from ml_platform.engine.selected import Selected
from ml_platform.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

# Where the driver says what the database calls a type, and with which precision and scale a number was declared.
_TYPE, _MODIFIER = b"POSTGRESQL:type", b"POSTGRESQL:typmod"
# The driver makes other numbers of these: cents of the one, negative ones of the other.
_CHANGED = ("money", "oid")


def select(table: str, rest: str, order: str, database: Database) -> Selected:
    """The query of the table's rows: identifiers and JSON as texts, numbers with a scale as decimals, others as texts.

    rest: which rows; order: their order. Raises SourceError for a column whose values the driver would change.
    """
    with database.reader(f"SELECT * FROM {quoted(table)} LIMIT 0") as reader:
        fields = list(reader.schema)
    changed = [f"{field.name}, of type {_called(field)}" for field in fields if _called(field) in _CHANGED]
    if changed:
        raise SourceError(
            f"{table} has the columns {'; '.join(changed)}, but their values would land as other ones",
            remedy="Declare a view of the table that casts them, for instance to numeric, or leaves them out",
        )
    names = [column_name(field.name) for field in fields]
    own = [f"{name}::text AS {name}" if _called(f) == "uuid" else name for name, f in zip(names, fields, strict=True)]
    query = f"SELECT {', '.join(own)} FROM {quoted(table)} {rest} {order}"
    return Selected(table, query, [_type(field) for field in fields])


def _called(field: pa.Field) -> str:
    name: bytes = (field.metadata or {}).get(_TYPE, b"")
    return name.decode()


def _type(field: pa.Field) -> pa.DataType | None:
    """The type that a column lands as; None for that which the driver gives."""
    import pyarrow as pa

    if _called(field) == "numeric":
        return _number(int((field.metadata or {}).get(_MODIFIER, b"-1")))
    return pa.string() if _called(field) in ("uuid", "json", "jsonb") else None


def _number(modifier: int) -> pa.DataType:
    """A decimal where the declared precision and scale are ones that tables hold; else the exact text."""
    import pyarrow as pa

    precision, scale = (modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF
    return pa.decimal128(precision, scale) if modifier >= 0 and scale <= precision <= 38 else pa.string()
