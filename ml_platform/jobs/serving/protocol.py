"""The bodies of the Open Inference Protocol (V2), as far as an endpoint for rows of named columns speaks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from ml_platform.engine.online import EVENT_TIME
from ml_platform.jobs.serving.tensors import RequestError, check_most_rows, checked_columns, plain_columns, shown
from ml_platform.records.metric import Task

# Task → output → its datatype. Of classes, `class` is the likeliest and `probability` has a column for each.
OUTPUTS: Mapping[str, Mapping[str, str]] = {
    "binary": {"probability": "FP64"},
    "multiclass": {"class": "BYTES", "probability": "FP64"},
    "regression": {"value": "FP64"},
}
_VERSION_DIGITS = 18
# Outside of them, what is reckoned with moments later might leave the calendar.
_FIRST_YEAR, _LAST_YEAR = 1900, 2199


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


def read_request(
    raw: bytes,
    types: Mapping[str, str],
    looked_up: Mapping[str, str] | None = None,
    task: Task = "binary",
    most_rows: int | None = None,
) -> InferRequest:
    """The rows that a body carries. Raises RequestError for a body that is anything else.

    types: request column → its type; `event_time` comes beside them. looked_up: what a caller who looks features up
    sends as well → its type, values of which may be null. task: of the model, which has its outputs. most_rows: that it
    may carry; any number where it is None.
    """
    sent = looked_up or {}
    body = _json_object(raw)
    _check_outputs(body.get("outputs"), OUTPUTS[task])
    # A row takes more than a byte, so that a short body need not be looked at.
    if most_rows is not None and len(raw) > most_rows:
        check_most_rows(body.get("inputs"), most_rows)
    wanted = {EVENT_TIME: "string", **types, **sent}
    columns = plain_columns(body.get("inputs"), wanted) or checked_columns(body.get("inputs"), wanted, sent)
    moments = [moment(text, EVENT_TIME, row) for row, text in enumerate(columns[EVENT_TIME])]
    asked, found = ({name: columns[name] for name in names} for names in (types, sent))
    return InferRequest(_request_id(body.get("id")), asked, moments, found, _version(body.get("parameters")))


def moment(text: str, name: str, row: int) -> datetime:
    """The moment, in UTC, that an input names in a row. Raises RequestError where it names none."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None and _FIRST_YEAR <= (at := found.astimezone(UTC)).year <= _LAST_YEAR:
            return at
    except (ValueError, OverflowError):
        pass
    raise RequestError(
        f"input {name!r} is {shown(text)} in row {row}, but that names no moment",
        allowed=f"It is ISO 8601 with an offset from UTC, for instance 2013-12-30T21:00:00Z, from {_FIRST_YEAR} to "
        f"{_LAST_YEAR}",
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
    raise RequestError(f"id is {shown(given)}, but it is a text where it is given")


def _version(parameters: object) -> int | None:
    """The version that a request names in `parameters.model_version`; other parameters are the client's own."""
    if parameters is not None and not isinstance(parameters, dict):
        raise RequestError(f"parameters is {shown(parameters)}, but it is an object where it is given")
    given = (parameters or {}).get("model_version")
    if given is None:
        return None
    # What is neither is not made a text of, for lists within lists may be deeper than that goes.
    written = str(given) if isinstance(given, (int, str)) else ""
    if written.isascii() and written.isdigit() and len(written) <= _VERSION_DIGITS:
        return int(written)
    raise RequestError(
        f"parameters.model_version is {shown(given)}, but it is a version's number where it is given",
        remedy="Leave it out, and the endpoint's traffic split chooses",
    )


def _check_outputs(outputs: object, known: Mapping[str, str]) -> None:
    if outputs is None:
        return
    if not isinstance(outputs, list) or any(
        not isinstance(output, dict) or output.get("name") not in [*known] for output in outputs
    ):
        given = "one output" if len(known) == 1 else f"{len(known)} outputs"
        raise RequestError(
            f"outputs is {shown(outputs)}, but the endpoint gives {given}",
            allowed=f"It is called {' and '.join(known)}; outputs may be left out",
        )
