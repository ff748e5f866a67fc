from __future__ import annotations

import pyarrow as pa
import pytest

from ml_platform.engine.column_types import arrow_schema, kind_of, no_rows, plain, takes, widens


def test_declared_columns_are_a_schema_and_an_empty_batch() -> None:
    columns = {"n": "int32", "price": "decimal(15,2)", "at": "timestamp"}
    expected = pa.schema(
        [("n", pa.int32()), ("price", pa.decimal128(15, 2)), ("at", pa.timestamp("us", tz="UTC"))]
    )  # fmt: skip
    assert arrow_schema(columns) == expected
    assert (no_rows(columns).schema, no_rows(columns).num_rows) == (expected, 0)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (pa.int8(), "int32"),
        (pa.uint16(), "int32"),
        (pa.uint32(), "int64"),
        (pa.int64(), "int64"),
        (pa.large_string(), "string"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.timestamp("ms", tz="Europe/Paris"), "timestamp"),
        (pa.timestamp("us"), None),
        (pa.date64(), "date"),
        (pa.decimal128(9, 2), "decimal(9,2)"),
        (pa.decimal256(50, 2), None),
        (pa.list_(pa.int32()), None),
        (pa.binary(), None),
    ],
)
def test_an_arrow_type_is_declared_as_what_holds_its_values(found: pa.DataType, kind: str | None) -> None:
    assert kind_of(found) == kind


@pytest.mark.parametrize(
    ("kind", "found", "taken"),
    [
        ("int32", pa.int64(), True),
        ("int32", pa.float64(), False),
        ("int64", pa.string(), False),
        ("string", pa.int64(), False),
        ("float64", pa.int32(), True),
        ("float64", pa.float32(), True),
        ("decimal(9,2)", pa.decimal128(15, 4), True),
        ("decimal(9,2)", pa.float64(), False),
        ("string", pa.decimal128(10, 2), True),
        ("string", pa.decimal256(50, 2), False),
        ("string", pa.float64(), False),
        ("timestamp", pa.timestamp("us"), False),
        ("timestamp", pa.date32(), False),
        ("date", pa.null(), True),
    ],
)
def test_a_column_takes_what_may_fit_without_loss(kind: str, found: pa.DataType, taken: bool) -> None:
    assert takes(kind, found) == taken


@pytest.mark.parametrize(
    ("stands", "declared", "wider"),
    [
        (pa.int32(), pa.int64(), True),
        (pa.int32(), pa.float64(), True),
        # 2**53 + 1 is no double.
        (pa.int64(), pa.float64(), False),
        (pa.int64(), pa.int32(), False),
        (pa.float64(), pa.int64(), False),
        (pa.int32(), pa.string(), False),
        (pa.decimal128(9, 2), pa.decimal128(11, 4), True),
        (pa.decimal128(9, 2), pa.decimal128(11, 2), True),
        # Seven digits stand before the point, and only six would.
        (pa.decimal128(9, 2), pa.decimal128(10, 4), False),
        (pa.decimal128(9, 2), pa.decimal128(9, 1), False),
    ],
)
def test_a_type_widens_only_where_every_value_stays(stands: pa.DataType, declared: pa.DataType, wider: bool) -> None:
    assert widens(stands, declared) == wider


def test_a_dictionary_is_its_values() -> None:
    assert plain(pa.array(["a", "b", "a"]).dictionary_encode()).equals(pa.array(["a", "b", "a"]))
