"""The application: the routes of a server, their schema, and how a failure is told."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ml_platform.errors import PlatformError
from ml_platform.jobs.serving.server import Server, as_json, status_of

_VERSION = "1"  # of these routes
_INFER = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer")
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


class Application:
    """The application as a server runs it; its schema is at `/openapi.json`.

    A prediction takes a short way past FastAPI, whose own costs as much as a model's answer does. What both ways lead
    to, and how a failure is told, is the same.
    """

    def __init__(self, server: Server) -> None:
        self._server, self._routes = server, create_app(server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        asked = _INFER.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if asked is None:
            await self._routes(scope, receive, send)
            return
        response = await self._predicted(asked["name"], asked["version"], Request(scope, receive))
        await response(scope, receive, send)

    async def _predicted(self, name: str, version: str | None, request: Request) -> Response:
        try:
            if version is None:
                return await self._server.infer(name, request)
            return await self._server.infer_by(name, version, request)
        except HTTPException as error:
            return await _refused(request, error)
        except PlatformError as error:
            return await _failed(request, error)
        except ClientDisconnect as error:
            return await _gone(request, error)
        except Exception as error:
            traceback.print_exc()
            return await _broken(request, error)


def create_app(server: Server) -> FastAPI:
    """The routes."""
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
