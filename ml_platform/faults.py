"""Faults of declarations: the one sentence that a person needs, out of the tree and traces that dagster wraps it in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from pydantic import ValidationError

import ml_platform.components
from ml_platform.errors import DeclarationError, PlatformError, nearest

_COMPONENTS = ml_platform.components.__name__
_SYMBOL = re.compile(r"Module `(?P<module>[\w.]+)` (?:not found|has no attribute `(?P<name>\w+)`)")
_COMPONENT = re.compile(r"Error while loading component (?P<path>.+)\[\d+\]:")
# Of a bounded number any field may also be a template text in dagster, on which pydantic stumbles at the bound.
_BOUND = "Unable to apply constraint"
# Pydantic names every member of a union that it tried; what is left are the names that somebody wrote.
_WRITTEN = re.compile(r"(?!(?:str|bool|int|float)$)(?:[a-z_]\w*|\d+)$")


def fault_in(error: BaseException, folder: Path) -> PlatformError | None:
    """What is wrong with a declaration, by file and line; None where the error is none of a declaration's.

    error: as loading definitions raised it. folder: of the package that declares.
    """
    for cause in _chain(error):
        if isinstance(cause, PlatformError):
            return cause
        if isinstance(cause, ValidationError):
            return _of_fields(cause, _file_in(str(error), folder), folder)
        if isinstance(cause, TypeError) and _BOUND in str(cause):
            file = _file_in(str(error), folder)
            return _of_bounds(file, folder) or _of_text(str(cause).rpartition(" ")[2], file, folder)
        if isinstance(cause, yaml.MarkedYAMLError):
            return _of_yaml(cause, folder)
        if isinstance(cause, dg.DagsterError) and (match := _SYMBOL.search(str(cause))):
            return _of_type(match, folder)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _of_fields(error: ValidationError, file: Path | None, folder: Path) -> DeclarationError:
    """The first of the faults; any field may also be a template text in dagster, which is never what is meant here."""
    every: list[Mapping[str, Any]] = [dict(found) for found in error.errors()]
    first = next((found for found in every if found["type"] != "string_type"), every[0])
    written, _, place = ".".join(str(part) for part in first["loc"]).strip("`").partition(" at ")
    field = ".".join(part for part in written.removeprefix("attributes.").split(".") if _WRITTEN.match(part))
    at = _relative(place, folder) if place else _line_of(field, file, folder)
    kind = error.title.removesuffix("Model")
    if first["type"] == "missing":
        return DeclarationError(f"{at}: {field} is missing, but a {kind} needs it")
    if first["type"] == "extra_forbidden":
        fields = getattr(getattr(ml_platform.components, kind, None), "model_fields", {})
        return DeclarationError(
            f"{at}: {field} is set, but a {kind} has no such field",
            allowed="" if "." in field else nearest(field, fields),
        )
    return DeclarationError(f"{at}: {field} is {first['input']!r}, but that cannot be: {first['msg']}")


def _of_bounds(file: Path | None, folder: Path) -> DeclarationError | None:
    """The first of the faults in the file, whose values are held against the component's own types."""
    for document in yaml.safe_load_all(file.read_text()) if file else ():
        component: Any = getattr(ml_platform.components, document["type"].rpartition(".")[2])
        try:
            component.model_validate(document["attributes"])
        except ValidationError as error:
            return _of_fields(error, file, folder)
    return None


def _of_text(value: str, file: Path | None, folder: Path) -> DeclarationError | None:
    """Of a text that could be read as a number, for instance 1e9, which YAML takes for a text without its point."""
    lines = file.read_text().splitlines() if file else []
    number = next((number for number, line in enumerate(lines, 1) if value in line), None)
    if file is None or number is None:
        return None
    at = f"{_relative(str(file), folder)}:{number}"
    return DeclarationError(f"{at}: {value} is a text, but it has to be a finite number", remedy="Write it as 1.0e+3")


def _file_in(message: str, folder: Path) -> Path | None:
    """The file of the component that dagster was at."""
    match = _COMPONENT.match(message)
    return folder / match["path"] / "defs.yaml" if match else None


def _line_of(field: str, file: Path | None, folder: Path) -> str:
    """The file and line where a field is written, or that which it is inside of."""
    if file is None:
        return "a declaration"
    lines = list(enumerate(file.read_text().splitlines(), 1))
    names = [re.compile(rf"[\s{{]*{re.escape(part)}\s*:") for part in reversed(field.split("."))]
    found = (number for name in names for number, line in lines if name.match(line))
    return f"{_relative(str(file), folder)}:{next(found, 1)}"


def _of_yaml(error: yaml.MarkedYAMLError, folder: Path) -> DeclarationError:
    mark = error.problem_mark
    place = f"{_relative(mark.name, folder)}:{mark.line + 1}: " if mark else ""
    return DeclarationError(f"{place}the file is not YAML, but a declaration has to be: {error.problem}")


def _of_type(match: re.Match[str], folder: Path) -> DeclarationError:
    """The file that names a component, or its module, which is not there."""
    written = f"{match['module']}.{match['name'] or ''}"
    files = (path for path in sorted(folder.rglob("defs.yaml")) if written in path.read_text())
    place = "".join(f"{_relative(str(file), folder)}: " for file in files)
    known = [f"{_COMPONENTS}.{name}" for name in ml_platform.components.__all__]
    return DeclarationError(
        f"{place}type is {written.rstrip('.')}, but there is no such component", allowed=nearest(written, known)
    )


def _relative(file: str, folder: Path) -> str:
    path = Path(file)
    return str(path.relative_to(folder.parent)) if path.is_relative_to(folder.parent) else file
