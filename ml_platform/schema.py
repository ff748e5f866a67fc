"""The schema of declarations: a JSON schema of `defs.yaml`, by which editors complete and check what is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

import ml_platform.components
from ml_platform.components.expectation import Expectation
from ml_platform.components.preprocessing import PreprocessingStep
from ml_platform.components.tuning import SearchRange

_DIALECT = "http://json-schema.org/draft-07/schema#"
_COMPONENTS = ml_platform.components.__name__
# Fields that are read as they are written, and parsed by ourselves: what dagster knows of them is less than we do.
_PARSED: Mapping[str, Any] = {
    "expect": list[Expectation],
    "preprocessing": list[PreprocessingStep],
    "space": dict[str, SearchRange | list[Any]],
}


def schema() -> dict[str, Any]:
    """The schema of a `defs.yaml`, of the dialect that yaml-language-server speaks: one form for each component."""
    definitions: dict[str, Any] = {}
    forms = [_form(name, definitions) for name in ml_platform.components.__all__]
    return {
        "$schema": _DIALECT,
        "title": "A declaration of ml_platform",
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": [f"{_COMPONENTS}.{name}" for name in ml_platform.components.__all__]}},
        "allOf": forms,
        "definitions": definitions,
    }


def _form(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """If the type is this component, the attributes are its fields: an editor then tells of those and no others."""
    component: Any = getattr(ml_platform.components, name)
    attributes = component.model_json_schema(ref_template=_place(name))
    definitions |= _named(name, attributes.pop("$defs", {}))
    definitions[name] = attributes
    for fields in [attributes, *(it for key, it in definitions.items() if key.startswith(f"{name}."))]:
        _tell(name, fields.get("properties", {}), definitions)
    needed = ["type", "attributes"] if attributes.get("required") else ["type"]
    then = {"properties": {"attributes": {"$ref": f"#/definitions/{name}"}}, "required": needed}
    return {"if": {"properties": {"type": {"const": f"{_COMPONENTS}.{name}"}}, "required": ["type"]}, "then": then}


def _tell(name: str, fields: dict[str, Any], definitions: dict[str, Any]) -> None:
    """The fields that we parse have the schema that we parse by, with their own description and default."""
    for field in fields.keys() & _PARSED.keys():
        parsed = TypeAdapter(_PARSED[field]).json_schema(ref_template=_place(name))
        definitions |= _named(name, parsed.pop("$defs", {}))
        told = {key: fields[field][key] for key in ("description", "default") if key in fields[field]}
        fields[field] = {**parsed, **told}


def _place(name: str) -> str:
    return f"#/definitions/{name}.{{model}}"


def _named(name: str, definitions: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name}.{key}": value for key, value in definitions.items()}
