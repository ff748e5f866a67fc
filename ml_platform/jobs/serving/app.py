"""The routes: the Open Inference Protocol (V2) for clients, and the control of what serves for the host."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ml_platform.engine.online import EVENT_TIME
from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.jobs.serving.protocol import RequestError, datatype
from ml_platform.jobs.serving.served import PROGRAM, Served
from ml_platform.jobs.serving.wire import decode

_VERSION = "1"  # of these routes
MAX_BODY_BYTES = 4 * 1024 * 1024
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


class Endpoint:
    """The one endpoint of a server, and the handlers of its routes.

    name: as in the protocol's paths. token: what a host shows to read or change what serves.
    served: the revision that answers; None until the first one is loaded.
    """

    def __init__(self, name: str, token: str) -> None:
        self.name = name
        self.served: Served | None = None
        self._token = token
        self._swap = asyncio.Lock()

    async def server(self) -> Response:
        """What the server is."""
        return _json({"name": "ml_platform", "version": _VERSION, "extensions": []})

    async def live(self) -> Response:
        """That the server runs."""
        return _json({"live": True})

    async def ready(self) -> Response:
        """Whether the endpoint answers; 503 while it does not."""
        return _json({"ready": self.served is not None}, 200 if self.served else 503)

    async def model(self, name: str) -> Response:
        """What the model takes and gives."""
        spec = self._serving(name).spec
        types = {**spec.request, EVENT_TIME: "string", **self._serving(name).takes}
        return _json(
            {
                "name": spec.name,
                "versions": [str(version) for version in sorted(spec.packages)],
                "platform": "ml_platform",
                "inputs": [{"name": key, "datatype": datatype(kind), "shape": [-1]} for key, kind in types.items()],
                "outputs": self._serving(name).outputs,
            }
        )

    async def model_ready(self, name: str) -> Response:
        """Whether the model answers; 503 while it does not."""
        return _json({"name": self._serving(name).spec.name, "ready": True})

    async def version_ready(self, name: str, version: str) -> Response:
        """Whether that version of the model answers whoever names it."""
        return _json({"name": name, "version": str(self._loaded(self._serving(name), version)), "ready": True})

    async def model_version(self, name: str, version: str) -> Response:
        """What the model takes and gives, which is the same for all of its versions."""
        self._loaded(self._serving(name), version)
        return await self.model(name)

    async def infer(self, name: str, request: Request) -> Response:
        """An answer for each row; every row is in the prediction log before the answer is sent."""
        return await self._answered(self._serving(name), request, None)

    async def infer_by(self, name: str, version: str, request: Request) -> Response:
        """As `infer`, by that version of the model, whatever its share."""
        served = self._serving(name)
        return await self._answered(served, request, self._loaded(served, version))

    async def _answered(self, served: Served, request: Request, named: int | None) -> Response:
        raw = await _body(request)
        # In a thread, because look-ups and the log wait for the disk.
        answer = await asyncio.get_running_loop().run_in_executor(None, served.answer, raw, named)
        return Response(answer, media_type="application/json")

    async def revision(self, request: Request) -> Response:
        """What serves now."""
        self._authorize(request)
        return self._revision()

    async def change_revision(self, request: Request) -> Response:
        """What serves now, which is what the body says; 409, and what served before serves on, where it cannot be."""
        self._authorize(request)
        try:
            spec, number = decode(orjson.loads(await _body(request)))
            if spec.name != self.name:
                raise DeclarationError(f"the spec is of endpoint {spec.name}, but this server has {self.name}")
            async with self._swap:
                self.served = await asyncio.to_thread(Served.load, spec, number)
        except (PlatformError, orjson.JSONDecodeError) as error:
            return _json({"error": str(error)}, 409)
        return self._revision()

    def _serving(self, name: str) -> Served:
        if name != self.name:
            raise HTTPException(404, f"model {name} is unknown, but this server has one. It is {self.name}.")
        if self.served is None:
            raise HTTPException(503, f"model {name} is loading, but a request needs it. Send it again in a moment.")
        return self.served

    def _loaded(self, served: Served, version: str) -> int:
        known = {str(number): number for number in served.spec.packages}
        if version not in known:
            raise HTTPException(
                404, f"version {version} of model {self.name} is unknown, but it has {', '.join(sorted(known))}."
            )
        return known[version]

    def _authorize(self, request: Request) -> None:
        shown = request.headers.get("authorization", "")
        if not hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode()):
            raise HTTPException(
                401, "the token is wrong or missing, but control needs it", {"WWW-Authenticate": "Bearer"}
            )

    def _revision(self) -> Response:
        served = self._serving(self.name)
        return _json(
            {
                "endpoint": self.name,
                "number": served.number,
                "split": {str(version): share for version, share in served.spec.split.shares.items()},
                "digests": {str(version): digest for version, digest in served.digests.items()},
                "shadow": served.spec.shadow,
                "fingerprint": served.fingerprint,
                "program": PROGRAM,
            }
        )


def create_app(endpoint: Endpoint) -> FastAPI:
    """The application; its schema is at `/openapi.json`."""
    app = FastAPI(title=f"ml_platform: {endpoint.name}", version=_VERSION, docs_url=None, redoc_url=None)
    app.add_api_route("/v2", endpoint.server)
    app.add_api_route("/v2/health/live", endpoint.live)
    app.add_api_route("/v2/health/ready", endpoint.ready)
    app.add_api_route("/v2/models/{name}", endpoint.model)
    app.add_api_route("/v2/models/{name}/ready", endpoint.model_ready)
    # As the protocol has it, a version may stand in each path of a model, and is chosen by the server where none does.
    versions = "/v2/models/{name}/versions/{version}"
    app.add_api_route(versions, endpoint.model_version)
    app.add_api_route(f"{versions}/ready", endpoint.version_ready)
    for path, handler in (("/v2/models/{name}/infer", endpoint.infer), (f"{versions}/infer", endpoint.infer_by)):
        app.add_api_route(path, handler, methods=["POST"], openapi_extra=_takes(_INFER_BODY))
    app.add_api_route("/control/revision", endpoint.revision)
    app.add_api_route(
        "/control/revision", endpoint.change_revision, methods=["PUT"], openapi_extra=_takes(_CONTROL_BODY)
    )
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(PlatformError, _failed)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)
    return app


def _takes(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _json(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


async def _body(request: Request) -> bytes:
    """The whole body, which is not read further than its limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is over {MAX_BODY_BYTES} bytes, but no more is read. Send fewer rows.")
    return bytes(body)


async def _refused(_: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    return _json({"error": refusal.detail}, refusal.status_code, refusal.headers)


async def _failed(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 400 if isinstance(error, RequestError) else 503)


async def _gone(_: Request, __: Exception) -> Response:
    return _json({"error": "the client left before its body had come"}, 400)


async def _broken(_: Request, error: Exception) -> Response:
    return _json({"error": f"{type(error).__name__} in the server; its log says more"}, 500)
