from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from ml_platform.engine import quarantine
from ml_platform.engine.refused import as_json, as_rows, refused
from ml_platform.engine.staging import stage
from ml_platform.errors import AuditError
from ml_platform.records.expectation import Rule
from resources.embedded.lakehouse import EmbeddedLakehouse

RULES = (
    Rule("warned", "not_null", "warn", column="v"),
    Rule("first", "between", "quarantine", column="v", low=0),
    Rule("second", "between", "quarantine", column="v", high=9),
    Rule("fails", "not_null", column="v"),
)


def test_a_refused_row_says_by_which_rule_it_went_and_all_that_it_broke(lakehouse: EmbeddedLakehouse) -> None:
    flags = pa.table(
        {
            "v": [1, 2, 3, 4],
            "month": ["2013-01"] * 4,
            "_asked_file": ["f.csv"] * 4,
            "_asked_offset": [0, 1, 2, 3],
            "_broken_0": [True, True, True, False],
            "_broken_1": [False, True, True, False],
            "_broken_2": [False, True, False, True],
            "_broken_3": [False, False, True, False],
        }
    )
    staged = stage(flags.to_batches(), flags.schema, lakehouse.files("aside/x"))
    found = pa.Table.from_batches(refused(staged, RULES, ["v", "month"], "month"))
    assert found.schema == quarantine.schema("month")
    assert [(row["rule"], row["source_file"], row["source_offset"], row["row"]) for row in found.to_pylist()] == [
        ("first", "f.csv", 1, '{"v": 2, "month": "2013-01"}'),
        ("second", "f.csv", 3, '{"v": 4, "month": "2013-01"}'),
    ]
    assert found["reason"].to_pylist() == [
        "warned: v is NULL\nfirst: v is less than 0\nsecond: v is greater than 9",
        "second: v is greater than 9",
    ]


def test_a_row_is_json_whatever_it_holds() -> None:
    row = {
        "moment": datetime(2013, 1, 1, 5, tzinfo=UTC),
        "day": date(2013, 1, 1),
        "price": Decimal("1.10"),
        "bytes": b"\x00\xff",
        "speeds": [1.5, math.inf, {"gust": math.nan}],
        "nothing": None,
    }
    assert json.loads(as_json(row)) == {
        "moment": "2013-01-01T05:00:00+00:00",
        "day": "2013-01-01",
        "price": "1.10",
        "bytes": "00ff",
        "speeds": [1.5, "inf", {"gust": "nan"}],
        "nothing": None,
    }


def test_a_row_comes_back_from_json_as_it_was() -> None:
    at = datetime(2013, 2, 12, 7, 30, tzinfo=UTC)
    schema = pa.schema(
        [
            pa.field("name", pa.string()),
            pa.field("count", pa.int64()),
            pa.field("speed", pa.float64()),
            pa.field("late", pa.bool_()),
            pa.field("at", pa.timestamp("us", "UTC")),
            pa.field("naive", pa.timestamp("us")),
            pa.field("day", pa.date32()),
            pa.field("price", pa.decimal128(20, 4)),
            pa.field("raw", pa.binary()),
            pa.field("tags", pa.list_(pa.string())),
            pa.field("of", pa.struct([pa.field("x", pa.decimal128(5, 2)), pa.field("y", pa.date32())])),
            pa.field("since", pa.string()),
        ]
    )
    full = {
        "name": 'é "x"',
        "count": 2**62 + 1,
        "speed": math.inf,
        "late": True,
        "at": at,
        "naive": datetime(2013, 2, 12, 7, 30, 0, 5),
        "day": date(2013, 2, 12),
        "price": Decimal("1234567890123456.7891"),
        "raw": b"\x00\xff",
        "tags": ["a", None],
        "of": {"x": Decimal("1.50"), "y": None},
    }
    back = as_rows([as_json(full), as_json(dict.fromkeys(full))], schema)
    assert back.schema == schema
    assert back.to_pylist() == [{**full, "since": None}, dict.fromkeys([*full, "since"])]


def test_a_value_that_is_of_another_type_by_now_is_told_by_its_column() -> None:
    with pytest.raises(AuditError, match=r"a quarantined row's name cannot be read as int64"):
        as_rows(['{"name": "x"}'], pa.schema([pa.field("name", pa.int64())]))
