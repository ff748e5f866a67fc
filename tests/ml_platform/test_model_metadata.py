from __future__ import annotations

import math

from ml_platform import model_metadata
from ml_platform.engine.alias_log import Move
from ml_platform.records.gate import GateDecision, Interval, Measured, SliceFinding, SliceFindings

PNG = b"\x89PNG\r\n\x1a\n"


def test_decision_gives_a_reason_a_line_and_both_sides_of_each_metric() -> None:
    said = model_metadata.of_decision(GateDecision(False, ("One.", "Two."), Measured({"brier": 0.2}, {"brier": 0.1})))
    assert said["reasons"].value == "- One.\n- Two."
    (row,) = said["metrics"].records
    assert row.data == {"metric": "brier", "candidate": 0.2, "champion": 0.1}


def test_picture_is_inside_its_markdown() -> None:
    assert model_metadata.picture(PNG, "roc") == "![roc](data:image/png;base64,iVBORw0KGgo=)"


def test_a_refusal_without_numbers_can_be_shown() -> None:
    assert model_metadata.of_decision(GateDecision(False, ("Broken: no common ground.",)))["metrics"].records == []


def test_decision_shows_intervals_and_slices_and_what_is_not_known_as_nothing() -> None:
    slices = SliceFindings((SliceFinding("carrier", "UA", 300, 0.5, math.nan),), 1, 0, 0.95)
    measured = Measured({"r2": math.nan}, {}, Interval(0.1, 0.05, 0.2, 0.95), slices)
    said = model_metadata.of_decision(GateDecision(False, ("One.",), measured))
    (improvement,), (part,), (metric,) = (said[name].records for name in ("improvement", "slices", "metrics"))
    assert improvement.data == {"estimate": 0.1, "low": 0.05, "high": 0.2, "confidence": 0.95}
    assert part.data == {"column": "carrier", "value": "UA", "rows": 300, "estimate": 0.5, "bound": None}
    assert metric.data == {"metric": "r2", "candidate": None, "champion": None}


def test_moves_of_the_alias_stand_latest_first() -> None:
    known = (Move(1, 1, None, "gate", "2026-01-01T00:00:00+00:00"), Move(2, 3, 1, "hand", "2026-01-02T00:00:00+00:00"))
    assert [record.data["by"] for record in model_metadata.moves(known).records] == ["hand", "gate"]
    assert model_metadata.moves(()).records == []
