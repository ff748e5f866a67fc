from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import ml_platform.components
from ml_platform.schema import schema
from ml_platform.testing import shop

ASSETS = Path(__file__).parents[2] / "assets"
DECLARED = {
    **{path.relative_to(ASSETS).as_posix(): path.read_text() for path in sorted(ASSETS.rglob("defs.yaml"))},
    **{f"shop/{name}": text for name, text in shop.FILES.items() if name.endswith("defs.yaml")},
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    made = schema()
    jsonschema.Draft7Validator.check_schema(made)
    return jsonschema.Draft7Validator(made)


@pytest.fixture
def model() -> Any:
    return yaml.safe_load(shop.FILES["models/returns/defs.yaml"])


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_declared_is_valid(validator, name):
    assert [error.message for error in validator.iter_errors(yaml.safe_load(DECLARED[name]))] == []


def test_every_component_can_be_declared(validator):
    types = validator.schema["properties"]["type"]["enum"]
    assert types == [f"ml_platform.components.{name}" for name in ml_platform.components.__all__]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("estimator", "oracle"),
        ("seeds", 1),
        ("seed", -1),
        ("needs", {"cpus": 2}),
        ("metrics", ["speed"]),
        ("gate", {"floors": {"auc": 0.5}}),
        ("preprocessing", [{"scale": {"features": ["a"], "by": "size"}}]),
        ("preprocessing", [{"twist": ["a"]}]),
        ("tune", {"trials": 3, "space": {"C": {"from": 1}}}),
        ("tune", {"trials": 3}),
        ("early_stopping", {"rounds": 0}),
        ("calibration", "magic"),
    ],
)
def test_what_does_not_load_is_not_valid(validator, model, field, value):
    model["attributes"][field] = value
    assert not validator.is_valid(model)


def test_what_a_model_can_be_told_is_valid(validator, model):
    model["attributes"] |= {
        "preprocessing": [{"impute": {"features": ["a"], "by": 0}}, {"drop": ["b"]}],
        "class_weights": "balanced",
        "tune": {"trials": 3, "space": {"C": {"low": 0.1, "high": 2, "log": True}, "max_iter": [10, 20]}},
        "slices": ["a"],
    }
    assert validator.is_valid(model)


def test_unknown_type_and_absent_field_are_not_valid(validator, model):
    assert not validator.is_valid({**model, "type": "ml_platform.components.Modell"})
    del model["attributes"]["task"]
    assert not validator.is_valid(model)
    assert not validator.is_valid({"type": model["type"]})


@pytest.mark.parametrize("name", ml_platform.components.__all__)
def test_every_field_is_told_of_where_it_is_written(validator, name):
    fields = validator.schema["definitions"][name]["properties"]
    # what is said in the same words of what it refers to is not said twice
    assert [field for field, told in fields.items() if not told.keys() & {"description", "$ref"}] == []
