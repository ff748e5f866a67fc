"""The manners of a workspace's API: requests checked by the SDK's own types, refusals in the API's own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# What a call is given, by the names that the SDK has for it: of the path, the query and the body.
Given = dict[str, Any]
_WORDS = {"true": True, "false": False}


class ApiError(Exception):
    """A refusal. status: of HTTP. code: `error_code`, as the SDK knows it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    @property
    def response(self) -> Response:
        """The refusal as the API answers it."""
        headers = {"Retry-After": "0"} if self.status == 429 else {}
        return JSONResponse({"error_code": self.code, "message": str(self)}, self.status, headers)


def invalid(message: str) -> ApiError:
    """The refusal of a request that cannot be."""
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def call(method: str, path: str, accepts: Any, answer: Callable[[Given], Any]) -> Route:
    """The route of one call.

    accepts: the SDK's method, or a dataclass, whose parameters are all that may be given.
    answer: takes what was given, checked; gives a dataclass of the SDK, a dict, or None for an empty answer.
    """
    kinds = {name: kind for name, kind in get_type_hints(accepts).items() if name != "return"}

    async def endpoint(request: Request) -> Response:
        given = {**request.path_params, **_queried(request, kinds), **await _body(request)}
        check(given, kinds)
        answered = answer(given)
        return JSONResponse(answered.as_dict() if hasattr(answered, "as_dict") else answered or {})

    return Route(path, endpoint, methods=[method])


def check(given: Mapping[str, Any], kinds: Mapping[str, Any], within: str = "") -> None:
    """Raises ApiError for a field that is not among these kinds, or whose value is of another."""
    for name, value in given.items():
        if name not in kinds:
            raise invalid(f"Unknown field: {within}{name}")
        _check(value, kinds[name], f"{within}{name}")


def _check(value: Any, kind: Any, name: str) -> None:
    inner, outer = get_args(kind), get_origin(kind)
    if outer is Union:
        if value is not None:
            _check(value, inner[0], name)
    elif outer in (list, dict):
        _require(value, outer, name)
        for one in value.values() if outer is dict else value:
            _check(one, inner[-1], name)
    elif is_dataclass(kind):
        _check_record(value, kind, name)
    elif isinstance(kind, type):
        _check_plain(value, kind, name)


def _check_record(value: Any, kind: Any, name: str) -> None:
    _require(value, dict, name)
    check(value, get_type_hints(kind), f"{name}.")
    for field in fields(kind):
        if field.default is MISSING and field.default_factory is MISSING and field.name not in value:
            raise invalid(f"Missing required field: {name}.{field.name}")


def _check_plain(value: Any, kind: type, name: str) -> None:
    if not issubclass(kind, Enum):
        _require(value, kind, name)
    elif value not in [member.value for member in kind]:
        raise invalid(f"Invalid value for {name}: {value!r}")


def _require(value: Any, kind: type, name: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise invalid(f"Expected {name} to be {kind.__name__}, got {type(value).__name__}")


def _queried(request: Request, kinds: Mapping[str, Any]) -> Given:
    return {name: _read(text, kinds.get(name)) for name, text in request.query_params.items()}


def _read(text: str, kind: Any) -> Any:
    """The text as a value of the kind, where it can be one."""
    if int in get_args(kind) or kind is int:
        return int(text) if text.lstrip("-").isdigit() else text
    return _WORDS.get(text, text) if bool in get_args(kind) or kind is bool else text


async def _body(request: Request) -> Given:
    raw = await request.body()
    if not raw:
        return {}
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise ApiError(400, "MALFORMED_REQUEST", "Could not parse request object") from error
    if not isinstance(content, dict):
        raise ApiError(400, "MALFORMED_REQUEST", "Could not parse request object")
    return content
