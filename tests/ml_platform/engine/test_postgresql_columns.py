from __future__ import annotations

from typing import Any, cast

import pyarrow as pa
import pytest

from ml_platform.engine.database import Database
from ml_platform.engine.postgresql_columns import select
from ml_platform.errors import SourceError


class Columns:
    """A database whose table has these columns, as PostgreSQL's driver says them."""

    def __init__(self, **columns: tuple[str, int]) -> None:
        fields = [
            pa.field(name, pa.string(), metadata={"POSTGRESQL:type": kind, "POSTGRESQL:typmod": str(modifier)})
            for name, (kind, modifier) in columns.items()
        ]
        self._schema = pa.schema(fields)

    def reader(self, _: str) -> Any:
        return pa.RecordBatchReader.from_batches(self._schema, [])


def modifier(precision: int, scale: int) -> int:
    return (precision << 16 | scale & 0x7FF) + 4


def test_what_the_driver_wraps_is_asked_for_as_what_a_source_declares() -> None:
    columns = Columns(id=("int8", -1), uid=("uuid", -1), doc=("jsonb", -1), price=("numeric", modifier(10, 2)))
    selected = select("orders", "WHERE id > 1", "ORDER BY id", cast(Database, columns))
    assert selected.query == (
        'SELECT "id", "uid"::text AS "uid", "doc", "price" FROM "orders" WHERE id > 1 ORDER BY id'
    )
    assert selected.types == [None, pa.string(), pa.string(), pa.decimal128(10, 2)]


@pytest.mark.parametrize("declared", [-1, modifier(40, 10), modifier(5, -2), modifier(3, 5)])
def test_a_number_that_no_decimal_holds_is_its_text(declared: int) -> None:
    columns = Columns(price=("numeric", declared))
    assert select("orders", "", "", cast(Database, columns)).types == [pa.string()]


@pytest.mark.parametrize("kind", ["money", "oid"])
def test_values_that_the_driver_would_change_are_refused(kind: str) -> None:
    with pytest.raises(SourceError, match=f"orders has the columns price, of type {kind}, but their values would land"):
        select("orders", "", "", cast(Database, Columns(id=("int8", -1), price=(kind, -1))))
