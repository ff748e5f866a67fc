"""The service models of botocore, as a control plane applies them: every request and every answer is walked through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

_UNREADABLE = "SerializationException"
_NUMBERS = ("integer", "long", "float", "double")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "list": (list,),
    "map": (dict,),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, datetime),
    "blob": (str, bytes),
}
# Java's classes of characters, nearly: Python's \w also has the underscore, which these patterns allow anyway.
_JAVA = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\p{Print}": r"\x20-\x7E",
    r"\p{ASCII}": r"[\x00-\x7F]",
    r"\p{Alnum}": "0-9A-Za-z",
    r"\uD800\uDC00-\uDBFF\uDFFF": "\U00010000-\U0010ffff",
    r"\z": r"\Z",
}


class Refusal(Exception):  # noqa: N818 - it is an answer, and the one that the vendor gives
    """What a service answers instead of what was asked. code: the vendor's own; more: further members of the answer."""

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.more = code, message, status, more


@cache
def service(name: str) -> ServiceModel:
    """The model of a service, by botocore's name for it."""
    from botocore.session import get_session

    return get_session().get_service_model(name)


def operation(service_name: str, name: str) -> OperationModel:
    """The model of one operation. Raises Refusal for one that the service does not have."""
    if name not in service(service_name).operation_names:
        raise Refusal("UnknownOperationException", f"The operation {name} is unknown to {service_name}.")
    return service(service_name).operation_model(name)


def check_request(model: OperationModel, request: Any, code: str = "ValidationException") -> None:
    """Raises Refusal for a request with an unknown field, a wrong type, or a value that a constraint excludes.

    code: what the service calls the last of these.
    """
    faults = list(_faults(model.input_shape, request, "")) if model.input_shape else []
    unreadable = [fault for fault in faults if fault.startswith(_UNREADABLE)]
    if unreadable:
        raise Refusal(_UNREADABLE, unreadable[0].removeprefix(f"{_UNREADABLE}: "))
    if faults:
        plural = "" if len(faults) == 1 else "s"
        raise Refusal(code, f"{len(faults)} validation error{plural} detected: {'; '.join(faults)}")


def check_answer(model: OperationModel, answer: Any) -> None:
    """Raises AssertionError for an answer that the service could not give: the stand-in is wrong, not its client."""
    faults = list(_faults(model.output_shape, answer, "")) if model.output_shape else []
    if faults:
        raise AssertionError(f"{model.name} answered what it cannot: {'; '.join(faults)}")


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kinds: Any = _TYPES[shape.type_name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and shape.type_name != "boolean"):
        found = type(value).__name__
        yield f"{_UNREADABLE}: {path or 'the request'} is a {found}, but it is a {shape.type_name}"
    elif shape.type_name in _NUMBERS:
        yield from _out_of_bounds(shape, value, path, lambda number: number, "value")
    elif shape.type_name == "string":
        yield from _in_text(shape, value, path)
    elif isinstance(shape, StructureShape):
        yield from _in_structure(shape, value, path)
    elif isinstance(shape, (ListShape, MapShape)):
        yield from _out_of_bounds(shape, value, path, len, "length")
        yield from _in_collection(shape, value, path)


def _in_collection(shape: ListShape | MapShape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, ListShape):
        for position, item in enumerate(value, 1):
            yield from _faults(shape.member, item, f"{path}.{position}.member")
        return
    for key, item in value.items():
        yield from _faults(shape.key, key, f"{path}.key")
        yield from _faults(shape.value, item, f"{path}.{key}.value")


def _in_structure(shape: StructureShape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            yield _broken(None, f"{path}.{name}", "Member must not be null")
    for name, inner in value.items():
        if name not in shape.members:
            yield f"{_UNREADABLE}: {path.strip('.') or shape.name} has no field {name}"
        else:
            yield from _faults(shape.members[name], inner, f"{path}.{name}")


def _in_text(shape: Shape, value: str, path: str) -> Iterator[str]:
    yield from _out_of_bounds(shape, value, path, len, "length")
    if (allowed := getattr(shape, "enum", None)) and value not in allowed:
        yield _broken(value, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield _broken(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _out_of_bounds(shape: Shape, value: Any, path: str, measure: Callable[[Any], float], what: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and measure(value) < least:
        yield _broken(value, path, f"Member must have {what} greater than or equal to {least}")
    if most is not None and measure(value) > most:
        yield _broken(value, path, f"Member must have {what} less than or equal to {most}")


def _broken(value: Any, path: str, constraint: str) -> str:
    at = ".".join(part[:1].lower() + part[1:] for part in path.split(".") if part)
    said = "null" if value is None else value
    return f"Value '{said}' at '{at}' failed to satisfy constraint: {constraint}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)
