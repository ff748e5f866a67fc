"""The stand-in's routes of Managed MLflow: a real server's tracking, artifacts, and the models of Unity Catalog.

What a method takes is what its proto in MLflow says; any other field is refused, and so is any other route.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ml_platform.engine import loopback
from resources.databricks.testing import artifact_files
from resources.databricks.testing.mlflow_server import mlflow_server
from resources.databricks.testing.protocol import invalid
from resources.databricks.testing.state import State
from resources.databricks.testing.uc_models import UcModels

_PREFIX = "/api/2.0"
# The service keeps the files of logged models in a folder of this name; the open-source server calls it `models`.
_LOGGED = re.compile(rb"(databricks/mlflow-tracking/\d+)/models/")
_WORKSPACE = {"x-databricks-org-id": "1"}

Answer = Callable[[str, Any], Any]


def routes(state: State) -> list[Route]:
    """Every route of tracking, artifacts and registered models."""
    from mlflow.protos.databricks_uc_registry_service_pb2 import UcModelRegistryService as Registry
    from mlflow.protos.service_pb2 import MlflowService as Tracking

    tracking = _Tracking(state)
    state.models = UcModels(state)
    served = [_route(verb, path, method, state.models.answer) for method, verb, path in _methods(Registry)]
    for method, verb, path in _methods(Tracking):
        # Artifacts are in the Files API, where the server cannot see them.
        if "/artifacts/" not in path:
            served.append(_forwarded(verb, path, method, tracking))
    # `logged-models/search` is not a logged model.
    return [*artifact_files.routes(state), *sorted(served, key=lambda route: "{" in route.path)]


def _methods(service: Any) -> Iterator[tuple[Any, str, str]]:
    """The methods of a service, each with its verb and its path."""
    from mlflow.protos import databricks_pb2

    for method in service.DESCRIPTOR.methods:
        for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
            if endpoint.since.major == 2:
                yield method, endpoint.method, _PREFIX + endpoint.path


def _route(verb: str, path: str, method: Any, answer: Answer) -> Route:
    """The route of a method that is answered here, by its name and its request."""
    from google.protobuf.json_format import ParseDict
    from google.protobuf.message_factory import GetMessageClass
    from mlflow.utils.proto_json_utils import message_to_json

    def respond(request: Any) -> str:
        fields = answer(method.name, request)
        kind = GetMessageClass(method.output_type)
        response = kind(**fields) if isinstance(fields, dict) else ParseDict({}, kind())
        return str(message_to_json(response))

    async def endpoint(request: Request) -> Response:
        asked = _parsed(method, await _given(request))
        return Response(await run_in_threadpool(respond, asked), media_type="application/json")

    return Route(path, endpoint, methods=[verb])


def _forwarded(verb: str, path: str, method: Any, tracking: _Tracking) -> Route:
    """The route of a method that the real server answers."""

    async def endpoint(request: Request) -> Response:
        _parsed(method, await _given(request))
        return await run_in_threadpool(tracking.forward, request, await request.body())

    return Route(path, endpoint, methods=[verb])


async def _given(request: Request) -> dict[str, Any]:
    if request.method == "GET":
        given: dict[str, Any] = {}
        for name, value in request.query_params.multi_items():
            given[name] = [*given[name], value] if isinstance(given.get(name), list) else value
    else:
        given = await request.json() if await request.body() else {}
    return {**given, **request.path_params}


def _parsed(method: Any, given: dict[str, Any]) -> Any:
    """The request that the fields make. Raises ApiError for a field that it has not, or of another type."""
    from google.protobuf.json_format import ParseDict, ParseError
    from google.protobuf.message_factory import GetMessageClass

    kind = GetMessageClass(method.input_type)
    repeated = {field.name for field in kind.DESCRIPTOR.fields if field.is_repeated}
    fields = {n: [v] if n in repeated and not isinstance(v, list) else v for n, v in given.items()}
    try:
        return ParseDict(fields, kind())
    except ParseError as error:
        raise invalid(str(error)) from error


class _Tracking:
    """The real server, started when it is first asked; it ends with the workspace."""

    def __init__(self, state: State) -> None:
        self._folder = state.folder / "mlflow"
        self._url = ""
        self._started = ExitStack()
        state.closing.append(self._started.close)
        self._lock = Lock()

    def forward(self, request: Request, body: bytes) -> Response:
        with self._lock:
            if not self._url:
                self._url = self._started.enter_context(mlflow_server(self._folder))
        answer = loopback.request(
            request.method,
            f"{self._url}{request.url.path}",
            params=str(request.query_params),
            content=body,
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        content = _LOGGED.sub(rb"\1/logged_models/", answer.content)
        return Response(content, answer.status_code, _WORKSPACE, media_type="application/json")
