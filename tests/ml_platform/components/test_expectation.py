from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ml_platform.components.expectation import KINDS, Expectation
from ml_platform.records.expectation import Rule


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ({"not_null": "v"}, Rule("r", "not_null", column="v")),
        ({"unique": "v", "severity": "warn"}, Rule("r", "unique", "warn", column="v")),
        ({"between": {"column": "v", "min": 0, "max": 9.5}}, Rule("r", "between", column="v", low=0, high=9.5)),
        ({"one_of": {"column": "v", "values": ["01", "1"]}}, Rule("r", "one_of", column="v", values=("01", "1"))),
        ({"matches": {"column": "v", "pattern": "[1]"}}, Rule("r", "matches", column="v", pattern="[1]")),
        (
            {"references": {"column": "v", "to": "silver/planes.tailnum"}},
            Rule("r", "references", column="v", parent="silver/planes", parent_column="tailnum"),
        ),
        ({"sql": "v > 1"}, Rule("r", "sql", predicate="v > 1")),
        ({"row_count": {"min": 1}}, Rule("r", "row_count", low=1)),
        ({"freshness": {"column": "v", "max_hours": 24}}, Rule("r", "freshness", column="v", max_hours=24)),
    ],
)
def test_what_is_written_is_a_rule(written: dict[str, Any], rule: Rule) -> None:
    found = Expectation.model_validate(written)
    assert found.kinds == [rule.kind]
    assert found.rule("r") == rule


@pytest.mark.parametrize(
    "written",
    [
        {"between": {"column": "v", "min": True}},
        {"between": {"column": "v", "least": 1}},
        {"one_of": {"column": "v", "values": []}},
        {"one_of": {"column": "v", "values": [None]}},
        {"row_count": {"min": -1}},
        {"row_count": {"min": 0.5}},
        {"freshness": {"column": "v", "max_hours": 0}},
        {"not_null": ["v"]},
        {"not_null": "v", "severity": "drop"},
        {"not_null": "v", "name": "a name"},
        {"not_nul": "v"},
    ],
)
def test_what_cannot_be_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Expectation.model_validate(written)


def test_every_field_is_described() -> None:
    assert set(KINDS) == set(Expectation.model_fields) - {"name", "severity"}
    for model in (Expectation, *_bodies()):
        assert all(field.description for field in model.model_fields.values())


def _bodies() -> list[Any]:
    annotations = (Expectation.model_fields[kind].annotation for kind in KINDS)
    return [one for it in annotations for one in getattr(it, "__args__", ()) if hasattr(one, "model_fields")]
