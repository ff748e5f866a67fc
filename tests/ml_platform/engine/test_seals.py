from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ml_platform.engine.seals import Doing, columns, matches, seal, told

FIELDS = '{"type":"struct","fields":[{"name":"n","type":"long","nullable":true,"metadata":{}}]}'
DOING = Doing(
    {"b.parquet": told(7, {"month": "2024-01"}, '{"numRecords": 2}'), "a.parquet": told(8, {}, None)},
    ["c.parquet"],
    {"x": 3},
    columns(FIELDS, ["month"], {}),
)
# As a commit was sealed when a seal covered names alone.
FIRST = "bf457c1585d502a1321e6429aae87103"


def test_a_seal_does_not_depend_on_an_order() -> None:
    same = dataclasses.replace(DOING, adds=dict(reversed(DOING.adds.items())))
    assert seal(same) == seal(DOING)
    assert matches(seal(DOING), DOING)
    again = '{"fields":[{"metadata":{},"nullable":true,"type":"long","name":"n"}],"type":"struct"}'
    assert columns(again, ("month",), {}) == DOING.columns


@pytest.mark.parametrize(
    "other",
    [
        {"adds": {**DOING.adds, "b.parquet": told(9, {"month": "2024-01"}, '{"numRecords": 2}')}},
        {"adds": {**DOING.adds, "b.parquet": told(7, {"month": "2024-02"}, '{"numRecords": 2}')}},
        {"adds": {**DOING.adds, "b.parquet": told(7, {"month": "2024-01"}, '{"numRecords": 3}')}},
        {"columns": columns(FIELDS.replace("long", "string"), ["month"], {})},
        {"columns": columns(FIELDS, [], {})},
        {"columns": columns(FIELDS, ["month"], {"delta.columnMapping.mode": "name"})},
        {"columns": ""},
    ],
    ids=["size", "partition", "statistics", "type", "partitioned", "configured", "no columns"],
)
def test_what_is_said_of_files_and_columns_is_sealed(other: dict[str, Any]) -> None:
    altered = dataclasses.replace(DOING, **other)
    assert not matches(seal(DOING), altered)
    assert matches(FIRST, altered)


@pytest.mark.parametrize(
    "other", [{"adds": {"a.parquet": told(8, {}, None)}}, {"removes": ["d.parquet"]}, {"transactions": {"x": 4}}]
)
def test_a_first_seal_is_still_checked_as_it_was_made(other: dict[str, Any]) -> None:
    assert matches(FIRST, DOING)
    altered = dataclasses.replace(DOING, **other)
    assert not matches(FIRST, altered)
    assert not matches(seal(DOING), altered)
