"""The routes of Vertex AI's API, taken from the REST transports of its SDK, and the requests that come by them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1.services.endpoint_service.transports import rest_base as endpoints
from google.cloud.aiplatform_v1.services.job_service.transports import rest_base as jobs
from google.cloud.aiplatform_v1.services.model_service.transports import rest_base as models
from google.cloud.aiplatform_v1.services.prediction_service.transports import rest_base as predictions
from google.longrunning import operations_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from resources.gcp.testing.vertex_error import VertexError

_TRANSPORTS = (
    jobs._BaseJobServiceRestTransport,
    models._BaseModelServiceRestTransport,
    endpoints._BaseEndpointServiceRestTransport,
    predictions._BasePredictionServiceRestTransport,
)
_VARIABLE = re.compile(r"\{([\w.]+)=([^}]+)\}")
# Parameters of every Google API; they ask for an encoding, and change nothing else.
_SYSTEM = {"$alt", "alt", "prettyPrint"}


@dataclass(frozen=True)
class Route:
    """One way to call a method. rpc: its name. body: the field that the body is, `*` for the message, "" for none."""

    rpc: str
    method: str
    path: re.Pattern[str]
    body: str
    request: type[Message]


@functools.cache
def routes() -> tuple[Route, ...]:
    """Every route of the four services that the SDK knows, those that the stand-in does not serve among them."""
    return tuple(dict.fromkeys(route for transport in _TRANSPORTS for route in _of(transport)))


def parse(method: str, path: str, query: Sequence[tuple[str, str]], body: bytes) -> tuple[str, Message]:
    """The method that is called and its request. Raises VertexError for a route or a field that there is not."""
    for route in routes():
        found = route.path.fullmatch(path)
        if found and route.method == method:
            return route.rpc, _request(route, found.groupdict(), query, body)
    raise VertexError("NOT_FOUND", f"The requested URL {path} was not found on this server, by {method}.")


def _of(transport: Any) -> Iterator[Route]:
    for name, call in vars(transport).items():
        rpc = name.removeprefix("_Base")
        request = _request_type(rpc)
        if request is None or not hasattr(call, "_get_http_options"):
            continue
        for option in call._get_http_options():
            if option["uri"].startswith(("/v1/", "/ui/")):
                path = re.compile(_VARIABLE.sub(_group, option["uri"]))
                yield Route(rpc, option["method"].upper(), path, option.get("body", ""), request)


def _request_type(rpc: str) -> type[Message] | None:
    wrapped = getattr(aiplatform_v1, f"{rpc}Request", None)
    own = operations_pb2.GetOperationRequest if rpc == "GetOperation" else None
    request: type[Message] | None = wrapped.pb() if wrapped else own
    return request


def _group(variable: re.Match[str]) -> str:
    field, template = variable.groups()
    return f"(?P<{field.replace('.', '__')}>{template.replace('*', '[^/:]+')})"


def _request(route: Route, path: Mapping[str, str], query: Sequence[tuple[str, str]], body: bytes) -> Message:
    request = route.request()
    fields = [(name, value) for name, value in query if name not in _SYSTEM]
    try:
        if route.body:
            part = request if route.body == "*" else getattr(request, route.body)
            part.SetInParent() if route.body != "*" else None
            json_format.Parse(body or b"{}", part)
        elif body not in (b"", b"{}"):
            raise json_format.ParseError("Request body is not empty")
        json_format.ParseDict(_nested(fields), request)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise VertexError("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from error
    for field, value in path.items():
        *inside, last = field.split("__")
        setattr(functools.reduce(getattr, inside, request), last, value)
    return request


def _nested(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Query parameters, `a.b=c`, as the JSON that they stand for."""
    plain: dict[str, Any] = {}
    for name, value in fields:
        *inside, last = name.split(".")
        target = functools.reduce(lambda part, key: part.setdefault(key, {}), inside, plain)
        target[last] = {"true": True, "false": False}.get(value, value)
    return plain
