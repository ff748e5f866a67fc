from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml_platform.components.preprocessing import PreprocessingStep
from ml_platform.records.preprocessing import SHAPES, Step


def step(written: object) -> Step:
    return PreprocessingStep.model_validate(written).step


def test_every_kind_can_be_declared():
    assert PreprocessingStep.model_fields.keys() == SHAPES.keys()


def test_step_travels_with_its_features_and_what_is_set():
    assert step({"drop": ["a", "b"]}) == Step("drop", ("a", "b"))
    assert step({"clip": {"features": ["a"], "low": 0}}) == Step("clip", ("a",), {"low": 0})
    assert step({"scale": {"features": ["a"]}}) == Step("scale", ("a",), {"by": "standard"})
    assert step({"impute": {"features": ["a"], "by": -1}}).settings == {"by": -1, "indicator": False}


@pytest.mark.parametrize(
    "written",
    [
        {"drop": []},
        {"drop": "a"},
        {"scale": {"features": ["a"], "by": "size"}},
        {"clip": {"features": ["a"], "low_quantile": 2}},
        {"rare": {"features": ["a"], "min_rows": 0}},
        {"rare": {"features": ["a"]}},
        {"impute": {"features": ["a"], "with": "mean"}},
        {"twist": {"features": ["a"]}},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(written):
    with pytest.raises(ValidationError):
        PreprocessingStep.model_validate(written)
