"""The bodies of the Open Inference Protocol (V2), as far as an endpoint for rows of named columns speaks it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from ml_platform.engine.online import EVENT_TIME
from ml_platform.errors import PlatformError, nearest
from ml_platform.records.metric import Task

# Task → output → its datatype. Of classes, `class` is the likeliest and `probability` has a column for each.
OUTPUTS: Mapping[str, Mapping[str, str]] = {
    "binary": {"probability": "FP64"},
    "multiclass": {"class": "BYTES", "probability": "FP64"},
    "regression": {"value": "FP64"},
}
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


@dataclass(frozen=True)
class InferRequest:
    """The rows of one request.

    id: as the client gave it, or None. columns: request column → a value per row. at: each row's moment, UTC.
    looked_up: what the client looked up, feature → a value per row, None where it is missing.
    version: the model version that is to answer, or None, where the split chooses.
    """

    id: str | None
    columns: Mapping[str, Sequence[object]]
    at: Sequence[datetime]
    looked_up: Mapping[str, Sequence[object]] = field(default_factory=dict)
    version: int | None = None


def together(requests: Sequence[InferRequest]) -> InferRequest:
    """The rows of requests to one endpoint, one after the other, as one that has no id and names no version."""
    if len(requests) == 1:
        return requests[0]
    columns, sent = (
        {name: [value for of in every for value in of[name]] for name in every[0]}
        for every in ([it.columns for it in requests], [it.looked_up for it in requests])
    )
    return InferRequest(None, columns, [moment for it in requests for moment in it.at], sent)


def datatype(kind: str) -> str:
    """The V2 datatype that a request column of that type is described with; narrower ones are taken too."""
    return _DATATYPES[kind][0]


def read_request(
    raw: bytes, types: Mapping[str, str], looked_up: Mapping[str, str] | None = None, task: Task = "binary"
) -> InferRequest:
    """The rows that a body carries. Raises RequestError for a body that is anything else.

    types: request column → its type; `event_time` comes beside them. looked_up: what a caller who looks features up
    sends as well → its type, values of which may be null. task: of the model, which has its outputs.
    """
    sent = looked_up or {}
    body = _json_object(raw)
    _check_outputs(body.get("outputs"), OUTPUTS[task])
    tensors = _tensors(body.get("inputs"))
    wanted = {EVENT_TIME: "string", **types, **sent}
    for name in tensors:
        if name not in wanted:
            raise RequestError(
                f"input {name!r} is given, but the endpoint takes no such input", allowed=nearest(name, wanted)
            )
    for name in wanted:
        if name not in tensors:
            raise RequestError(
                f"input {name!r} is missing, but the endpoint needs it", allowed=f"Its inputs are {', '.join(wanted)}"
            )
    columns = {name: _column(tensors[name], name, kind, name in sent) for name, kind in wanted.items()}
    _check_rows({name: len(column) for name, column in columns.items()})
    moments = [moment(text, EVENT_TIME, row) for row, text in enumerate(columns[EVENT_TIME])]
    asked, found = ({name: columns[name] for name in names} for names in (types, sent))
    return InferRequest(_request_id(body.get("id")), asked, moments, found, _version(body.get("parameters")))


def moment(text: str, name: str, row: int) -> datetime:
    """The moment, in UTC, that an input names in a row. Raises RequestError where it names none."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise RequestError(
        f"input {name!r} is {_shown(text)} in row {row}, but that names no moment",
        allowed="It is ISO 8601 with an offset from UTC, for instance 2013-12-30T21:00:00Z",
    )


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is no JSON ({error}), but a V2 request is a JSON object") from error
    if not isinstance(body, dict):
        raise RequestError(f"the body is a JSON {type(body).__name__}, but a V2 request is a JSON object")
    return body


def _request_id(given: object) -> str | None:
    if given is None or isinstance(given, str):
        return given
    raise RequestError(f"id is {_shown(given)}, but it is a text where it is given")


def _version(parameters: object) -> int | None:
    """The version that a request names in `parameters.model_version`; other parameters are the client's own."""
    if parameters is not None and not isinstance(parameters, dict):
        raise RequestError(f"parameters is {_shown(parameters)}, but it is an object where it is given")
    given = (parameters or {}).get("model_version")
    if given is None:
        return None
    if str(given).isascii() and str(given).isdigit():
        return int(given)
    raise RequestError(
        f"parameters.model_version is {_shown(given)}, but it is a version's number where it is given",
        remedy="Leave it out, and the endpoint's traffic split chooses",
    )


def _check_outputs(outputs: object, known: Mapping[str, str]) -> None:
    if outputs is None:
        return
    if not isinstance(outputs, list) or any(
        not isinstance(output, dict) or output.get("name") not in known for output in outputs
    ):
        given = "one output" if len(known) == 1 else f"{len(known)} outputs"
        raise RequestError(
            f"outputs is {_shown(outputs)}, but the endpoint gives {given}",
            allowed=f"It is called {' and '.join(known)}; outputs may be left out",
        )


def _tensors(inputs: object) -> dict[str, dict[str, Any]]:
    if not isinstance(inputs, list) or not inputs:
        raise RequestError(f"inputs is {_shown(inputs)}, but it is a list of tensors with one for each input")
    tensors: dict[str, dict[str, Any]] = {}
    for tensor in inputs:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str):
            raise RequestError(f"an input is {_shown(tensor)}, but it is an object with a name, a shape and data")
        if name in tensors:
            raise RequestError(f"input {name!r} is given twice, but it has one tensor")
        tensors[name] = tensor
    return tensors


def _column(tensor: Mapping[str, Any], name: str, kind: str, nullable: bool) -> list[Any]:
    """The tensor's values, each of its datatype, or None where it may be."""
    given, shape, data = tensor.get("datatype"), tensor.get("shape"), tensor.get("data")
    if given not in _DATATYPES[kind]:
        raise RequestError(
            f"input {name!r} has datatype {_shown(given)}, but it holds a {kind}",
            allowed=f"Its datatype is {' or '.join(_DATATYPES[kind])}",
        )
    if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int or shape[0] < 1:
        raise RequestError(
            f"input {name!r} has shape {_shown(shape)}, but it has one value for each row",
            allowed="Its shape is [rows], with at least one row",
        )
    if not isinstance(data, list) or len(data) != shape[0]:
        found = f"{len(data)} values" if isinstance(data, list) else _shown(data)
        raise RequestError(f"input {name!r} has data of {found}, but its shape says {shape[0]}")
    fits = _FITS[given]
    for row, value in enumerate(data):
        if not fits(value) and not (nullable and value is None):
            raise RequestError(f"input {name!r} is {_shown(value)} in row {row}, but that is no {given}")
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


def _check_rows(lengths: Mapping[str, int]) -> None:
    rows = lengths[EVENT_TIME]
    for name, length in lengths.items():
        if length != rows:
            raise RequestError(f"input {name!r} has shape [{length}], but {EVENT_TIME} has [{rows}]")


def _shown(value: object) -> str:
    """The value as the client would write it, cut where it is long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list) and (len(value) > 4 or any(isinstance(inner, (dict, list)) for inner in value)):
        return f"a list of {len(value)}"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:60]}…"
