"""The tensors of a V2 body, as the columns that an endpoint takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping
from typing import Any

import orjson

from ml_platform.engine.request_time import EVENT_TIME
from ml_platform.errors import PlatformError, nearest

_INTEGERS = {f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (64, 32, 16, 8)}
_DATATYPES: Mapping[str, tuple[str, ...]] = {
    "string": ("BYTES",),
    "integer": tuple(_INTEGERS),
    "number": ("FP64", "FP32", *_INTEGERS),
    "boolean": ("BOOL",),
    "category": ("BYTES",),
}


class RequestError(PlatformError):
    """A body is not what the endpoint takes; the message names the input at fault."""


def datatype(kind: str) -> str:
    """The V2 datatype that a request column of that type is described with; narrower ones are taken too."""
    return _DATATYPES[kind][0]


def plain_columns(inputs: Any, wanted: Mapping[str, str]) -> dict[str, list[Any]] | None:
    """As `checked_columns` in half of its time, where there is nothing to refuse or to think of; None otherwise.

    Looking at each of the tensors is most of what a row costs beside its model.
    """
    columns: dict[str, list[Any]] = {}
    try:
        (rows,) = inputs[0]["shape"]
        for tensor in inputs:
            name, data, (length,) = tensor["name"], tensor["data"], tensor["shape"]
            fits = _TAKES[wanted[name]][tensor["datatype"]]
            if type(length) is not int or length != rows or type(data) is not list or name in columns:
                return None
            if len(data) != rows or not all(map(fits, data)):
                return None
            columns[name] = data
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return columns if rows and columns.keys() == wanted.keys() else None


def checked_columns(inputs: Any, wanted: Mapping[str, str], nullable: Container[str]) -> dict[str, list[Any]]:
    """Input → its values. Raises RequestError for the first that is not as it is wanted.

    nullable: the inputs whose values may be null.
    """
    tensors = _tensors(inputs)
    for name in tensors:
        if name not in wanted:
            raise RequestError(
                f"input {_cut(name)!r} is given, but the endpoint takes no such input", allowed=nearest(name, wanted)
            )
    for name in wanted:
        if name not in tensors:
            raise RequestError(
                f"input {name!r} is missing, but the endpoint needs it", allowed=f"Its inputs are {', '.join(wanted)}"
            )
    columns = {name: _column(tensors[name], name, kind, name in nullable) for name, kind in wanted.items()}
    _check_rows({name: len(column) for name, column in columns.items()})
    return columns


def check_most_rows(inputs: object, most: int) -> None:
    """Returns where no tensor has more values than that. Raises RequestError for the first that has."""
    for tensor in inputs if isinstance(inputs, list) else ():
        data = tensor.get("data") if isinstance(tensor, dict) else None
        if isinstance(data, list) and len(data) > most:
            raise RequestError(
                f"input {shown(tensor.get('name'))} has {len(data)} rows, but a request may have {most}",
                remedy="Send the rows in several requests",
            )


def _tensors(inputs: object) -> dict[str, dict[str, Any]]:
    if not isinstance(inputs, list) or not inputs:
        raise RequestError(f"inputs is {shown(inputs)}, but it is a list of tensors with one for each input")
    tensors: dict[str, dict[str, Any]] = {}
    for tensor in inputs:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str):
            raise RequestError(f"an input is {shown(tensor)}, but it is an object with a name, a shape and data")
        if name in tensors:
            raise RequestError(f"input {_cut(name)!r} is given twice, but it has one tensor")
        tensors[name] = tensor
    return tensors


def _column(tensor: Mapping[str, Any], name: str, kind: str, nullable: bool) -> list[Any]:
    """The tensor's values, each of its datatype, or None where it may be."""
    given, shape, data = tensor.get("datatype"), tensor.get("shape"), tensor.get("data")
    if given not in _DATATYPES[kind]:
        raise RequestError(
            f"input {name!r} has datatype {shown(given)}, but it holds a {kind}",
            allowed=f"Its datatype is {' or '.join(_DATATYPES[kind])}",
        )
    if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int or shape[0] < 1:
        raise RequestError(
            f"input {name!r} has shape {shown(shape)}, but it has one value for each row",
            allowed="Its shape is [rows], with at least one row",
        )
    if not isinstance(data, list) or len(data) != shape[0]:
        found = f"{len(data)} values" if isinstance(data, list) else shown(data)
        raise RequestError(f"input {name!r} has data of {found}, but its shape says {shape[0]}")
    fits = _FITS[given]
    for row, value in enumerate(data):
        if not fits(value) and not (nullable and value is None):
            raise RequestError(f"input {name!r} is {shown(value)} in row {row}, but that is no {given}")
    return data


def _within(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and low <= value <= high


# Datatype → whether a value is one of it.
_FITS: Mapping[str, Callable[[object], bool]] = {
    "BYTES": lambda value: type(value) is str,
    "BOOL": lambda value: type(value) is bool,
    **{name: _within(*bounds) for name, bounds in _INTEGERS.items()},
    **dict.fromkeys(
        ("FP64", "FP32"), lambda value: type(value) is int or (type(value) is float and math.isfinite(value))
    ),
}
# Column type → datatypes that it is sent as → whether a value is one.
_TAKES = {kind: {name: _FITS[name] for name in names} for kind, names in _DATATYPES.items()}


def _check_rows(lengths: Mapping[str, int]) -> None:
    rows = lengths[EVENT_TIME]
    for name, length in lengths.items():
        if length != rows:
            raise RequestError(f"input {name!r} has shape [{length}], but {EVENT_TIME} has [{rows}]")


def shown(value: object) -> str:
    """The value as the client would write it, cut where it is long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and (len(value) > 4 or any(isinstance(inner, (dict, list)) for inner in value)):
        return f"a list of {len(value)}"
    return _cut(orjson.dumps(value).decode())


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
