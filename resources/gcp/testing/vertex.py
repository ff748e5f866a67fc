"""A stand-in for Vertex AI on loopback: custom jobs, models, endpoints and predictions, all of them really run.

As a program, `python -m resources.gcp.testing.vertex STORAGE TOLD` prints its address and serves until its input ends.
STORAGE is the address of a Cloud Storage that its containers reach; what it is told is kept in the folder TOLD.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ml_platform.testing.faults import PATH, Faults
from ml_platform.testing.stand_in import running, serve
from ml_platform.testing.told import Told

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_REFUSED = {
    "throttled": ("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Requests' of service aiplatform."),
    "broken": ("INTERNAL", "Internal error encountered."),
    "expired": ("UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token."),
    "denied": ("PERMISSION_DENIED", "Permission denied on resource (or it may not exist)."),
}


@contextmanager
def vertex(storage: str, told: str) -> Iterator[str]:
    """The address of the stand-in; it, its jobs and its servers have ended afterwards. told: what it heard."""
    with running(__name__, storage, told) as address:
        yield address


def application(home: Path, storage: str, told: Told) -> Starlette:
    """The stand-in as an ASGI application. home: folder of its containers."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from resources.gcp.testing.vertex_containers import Containers
    from resources.gcp.testing.vertex_error import VertexError

    faults, containers = Faults(), Containers(home, storage, told)
    methods = _methods(containers, faults)

    async def inject(request: Request) -> Response:
        faults.set(request.path_params["fault"], int(request.path_params["times"]))
        return Response(status_code=204)

    async def answer(request: Request) -> Response:
        told.keep(request.url.path, await request.body())
        try:
            return Response(await _answer(request, methods, faults), media_type="application/json")
        except VertexError as error:
            return JSONResponse(error.body, status_code=error.http)

    @asynccontextmanager
    async def ending(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            containers.end()

    injected = Route(f"{PATH}/{{fault}}/{{times}}", inject, methods=["PUT"])
    called = Route("/{path:path}", answer, methods=["GET", "POST", "PATCH", "PUT", "DELETE"])
    return Starlette(routes=[injected, called], lifespan=ending)


def _methods(containers: Any, faults: Faults) -> dict[str, Callable[[Any], Awaitable[Any]]]:
    """What is served, by name: every public coroutine of its resources."""
    from resources.gcp.testing.vertex_endpoints import Endpoints
    from resources.gcp.testing.vertex_jobs import CustomJobs
    from resources.gcp.testing.vertex_models import Models
    from resources.gcp.testing.vertex_operations import Operations

    operations = Operations()
    models = Models(operations)
    parts = (operations, models, CustomJobs(containers, faults), Endpoints(operations, models, containers, faults))
    calls = [call for part in parts for call in inspect.getmembers(part, inspect.iscoroutinefunction)]
    return {name: call for name, call in calls if not name.startswith("_")}


async def _answer(request: Request, methods: dict[str, Callable[[Any], Awaitable[Any]]], faults: Faults) -> str:
    from google.protobuf import json_format

    from resources.gcp.testing.vertex_error import VertexError
    from resources.gcp.testing.vertex_routes import parse

    for fault, refusal in _REFUSED.items():
        if faults.take(fault):  # type: ignore[arg-type]
            raise VertexError(*refusal)
    query = request.query_params.multi_items()
    rpc, message = parse(request.method, request.url.path, query, await request.body())
    name = _CAMEL.sub("_", rpc).lower()
    if name not in methods:
        raise VertexError("UNIMPLEMENTED", f"The stand-in does not serve {rpc}.")
    numbers = "enum-encoding=int" in dict(query).get("$alt", "")
    return str(json_format.MessageToJson(await methods[name](message), use_integers_for_enums=numbers))


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        serve(application(Path(folder), sys.argv[1], Told(Path(sys.argv[2]))))
