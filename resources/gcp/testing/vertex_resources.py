"""What Vertex AI's resources have in common: names, labels, times, filters and pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from resources.gcp.testing.vertex_error import VertexError

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_MACHINE = re.compile(r"(a2|a3|c2|c2d|c3|e2|g2|m1|n1|n2|n2d)-(highcpu|highgpu|highmem|megamem|standard|ultragpu)-\d+g?")
_TERM = re.compile(r'(display_name|state|labels\.[a-z0-9_-]+)\s*=\s*(?:"([^"]*)"|([\w.-]+))')
_PAGE = 100


def now() -> Timestamp:
    """This moment."""
    moment = Timestamp()
    moment.GetCurrentTime()
    return moment


def copied(message: Any) -> Any:
    """The message as it stands now, whatever becomes of it."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def check(resource: Any) -> None:
    """Returns where display name and labels are as the service takes them; else raises VertexError."""
    if not 0 < len(resource.display_name) <= 128:
        raise _invalid("display_name", "must be 1 to 128 characters long")
    for key, value in resource.labels.items():
        if not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise _invalid(f"labels[{key}]", "must be lowercase letters, numbers, underscores and dashes, up to 63")
    if len(resource.labels) > 64:
        raise _invalid("labels", "must be at most 64")


def check_id(field: str, given: str) -> None:
    """Returns for an id that the caller may choose, or for none."""
    if given and not _ID.fullmatch(given):
        raise _invalid(field, f"must match {_ID.pattern}")


def check_machine(machine: Any) -> None:
    """Returns for a machine type that there is."""
    if not _MACHINE.fullmatch(machine.machine_type):
        raise VertexError("INVALID_ARGUMENT", f"Machine type {machine.machine_type!r} is not supported.")


def found(resources: Mapping[str, Any], name: str) -> Any:
    """The resource of that name. Raises VertexError where there is none."""
    if name not in resources:
        raise VertexError("NOT_FOUND", f"The resource {name!r} is not found.")
    return resources[name]


def page(resources: Iterable[Any], request: Any) -> tuple[list[Any], str]:
    """The page that is asked for of what is the parent's and passes the filter, newest first; the next one's token."""
    inside = [resource for resource in resources if resource.name.startswith(f"{request.parent}/")]
    wanted = _terms(request.filter)
    passed = [one for one in reversed(inside) if all(_value(one, field) == value for field, value in wanted)]
    start, size = int(request.page_token or 0), request.page_size or _PAGE
    end = start + size
    return passed[start:end], str(end) if end < len(passed) else ""


def _terms(filter_: str) -> list[tuple[str, str]]:
    """Field and value of every term of a filter, all of which must hold."""
    terms = []
    for term in filter_.split(" AND ") if filter_ else ():
        match = _TERM.fullmatch(term.strip())
        if match is None:
            raise VertexError("INVALID_ARGUMENT", f"Invalid filter: {filter_!r}. Not understood: {term!r}.")
        field, quoted, bare = match.groups()
        terms.append((field, bare if quoted is None else quoted))
    return terms


def _value(resource: Any, field: str) -> str | None:
    if field.startswith("labels."):
        return dict(resource.labels).get(field.removeprefix("labels."))
    if field == "state" and "state" in resource.DESCRIPTOR.fields_by_name:
        names = resource.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number
        return str(names[resource.state].name)
    return str(resource.display_name)


def _invalid(field: str, rule: str) -> VertexError:
    return VertexError("INVALID_ARGUMENT", f"List of found errors: 1.Field: {field}; Message: The value {rule}.")
