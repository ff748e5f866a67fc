"""The application: the routes of a server, their schema, and how a failure is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from ml_platform.errors import PlatformError
from ml_platform.jobs.serving.server import Server, as_json, status_of

_VERSION = "1"  # of these routes
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "data": {"type": "array", "items": {}},
    },
}
_INFER_BODY = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object", "properties": {"model_version": {"type": "string"}}},
        "inputs": {"type": "array", "items": _TENSOR},
    },
}
_CONTROL_BODY = {"type": "object", "required": ["revision"], "properties": {"revision": {"type": "integer"}}}


def create_app(server: Server) -> FastAPI:
    """The application; its schema is at `/openapi.json`."""

    async def infer(request: Request) -> Response:
        return await server.infer(request.path_params["name"], request)

    async def infer_by(request: Request) -> Response:
        return await server.infer_by(request.path_params["name"], request.path_params["version"], request)

    app = FastAPI(title="ml_platform", version=_VERSION, docs_url=None, redoc_url=None)
    app.add_api_route("/v2", server.server)
    app.add_api_route("/v2/health/live", server.live)
    app.add_api_route("/v2/health/ready", server.ready)
    app.add_api_route("/v2/models/{name}", server.model)
    app.add_api_route("/v2/models/{name}/ready", server.model_ready)
    # As the protocol has it, a version may stand in each path of a model, and is chosen by the server where none does.
    versions = "/v2/models/{name}/versions/{version}"
    app.add_api_route(versions, server.model_version)
    app.add_api_route(f"{versions}/ready", server.version_ready)
    for path, handler in (("/v2/models/{name}/infer", server.infer), (f"{versions}/infer", server.infer_by)):
        app.add_api_route(path, handler, methods=["POST"], openapi_extra=_takes(_INFER_BODY))
    for path, answer in (("/v2/models/{name}/infer", infer), (f"{versions}/infer", infer_by)):
        # Ahead of the routes that describe them: FastAPI's way to a handler costs as much as the model does.
        app.router.routes.insert(0, Route(path, answer, methods=["POST"]))
    app.add_api_route("/metrics", server.figures)
    control = "/control/models/{name}"
    app.add_api_route(control, server.revision)
    app.add_api_route(control, server.change_revision, methods=["PUT"], openapi_extra=_takes(_CONTROL_BODY))
    app.add_api_route(control, server.release, methods=["DELETE"])
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(PlatformError, _failed)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)
    return app


def _takes(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def _refused(_: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    return as_json({"error": refusal.detail}, refusal.status_code, refusal.headers)


async def _failed(_: Request, error: Exception) -> Response:
    return as_json({"error": str(error)}, status_of(cast("PlatformError", error)))


async def _gone(_: Request, __: Exception) -> Response:
    return as_json({"error": "the client left before its body had come"}, 400)


async def _broken(_: Request, error: Exception) -> Response:
    return as_json({"error": f"{type(error).__name__} in the server; its log says more"}, 500)
