"""Column types: what a source may declare its columns as, and what each takes without loss."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pyarrow as pa

TYPES = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type of a declared one.

    >>> arrow_type("decimal(15,2)")
    Decimal128Type(decimal128(15, 2))
    """
    if found := _DECIMAL.fullmatch(kind):
        return pa.decimal128(int(found[1]), int(found[2]))
    return TYPES[kind]


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The declared columns as an Arrow schema."""
    return pa.schema([pa.field(name, arrow_type(kind)) for name, kind in columns.items()])


def no_rows(columns: Mapping[str, str]) -> pa.RecordBatch:
    """The declared columns without a row."""
    return pa.RecordBatch.from_pylist([], schema=arrow_schema(columns))


def kind_of(found: pa.DataType) -> str | None:
    """The declared type that holds every value of an Arrow type; None where there is none, as for what is nested.

    >>> kind_of(pa.uint8()), kind_of(pa.float32()), kind_of(pa.timestamp("ns"))
    ('int32', 'float64', None)
    """
    found = plain_type(found)
    if pa.types.is_decimal(found):
        return f"decimal({found.precision},{found.scale})" if found.scale >= 0 and found.precision <= 38 else None
    if pa.types.is_integer(found):
        return "int32" if found.bit_width < 32 or found == pa.int32() else "int64"
    if pa.types.is_timestamp(found):
        return "timestamp" if found.tz else None
    families = {
        "string": pa.types.is_string,
        "float64": pa.types.is_floating,
        "boolean": pa.types.is_boolean,
        "date": pa.types.is_date,
    }
    return next((kind for kind, is_one in families.items() if is_one(found)), None)


def takes(kind: str, found: pa.DataType) -> bool:
    """Whether values of an Arrow type may be put into a declared one, each where it fits; others never are.

    A whole number may become a float64 that is equal to it, and a decimal its text; a float never becomes a whole
    number, and a time without a zone no moment.
    """
    proposed = kind_of(found)
    if pa.types.is_null(found) or proposed == kind:
        return True
    whole = proposed in ("int32", "int64")
    if kind in ("int32", "int64", "float64") and whole:
        return True
    return kind.startswith(("decimal", "string")) and (proposed or "").startswith("decimal")


def widens(stands: pa.DataType, declared: pa.DataType) -> bool:
    """Whether a column that stands may be declared so from now on, every value of it kept.

    >>> widens(pa.int32(), pa.int64()), widens(pa.int64(), pa.int32())
    (True, False)
    """
    if pa.types.is_decimal(stands) and pa.types.is_decimal(declared):
        more = declared.scale - stands.scale
        return bool(more >= 0 and declared.precision - stands.precision >= more)
    return (stands, declared) in ((pa.int32(), pa.int64()), (pa.int32(), pa.float64()))


def same_but_for_case(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that engines take for one; None where each is its own.

    >>> same_but_for_case(["k", "v", "K"])
    ('k', 'K')
    """
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            return seen[name.lower()], name
        seen[name.lower()] = name
    return None


def plain(column: pa.Array) -> pa.Array:
    """The column without dictionary encoding."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def plain_type(found: pa.DataType) -> pa.DataType:
    """The type of the values, however they are encoded."""
    if pa.types.is_dictionary(found):
        return plain_type(found.value_type)
    return pa.string() if pa.types.is_large_string(found) or pa.types.is_string_view(found) else found
