"""The stand-in for a Databricks workspace on loopback, its object store behind the same address.

As a program, `python -m resources.databricks.testing.workspace FOLDER STORE` prints its address and serves until its
input ends. FOLDER: of everything that it keeps. STORE: the settings of its S3, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ml_platform.testing import faults, stand_in
from resources.aws.testing.s3 import S3
from resources.databricks.testing import catalog, files, jobs, mlflow_routes, serving
from resources.databricks.testing.protocol import ApiError, invalid
from resources.databricks.testing.state import State
from resources.databricks.testing.storage import Storage, signed

LIFETIME = "/__lifetime"
# MLflow's corner of the Files API stands before the rest of it.
_PARTS = (mlflow_routes, serving, catalog, files, jobs)


def application(state: State) -> Starlette:
    """The workspace as an ASGI application."""
    state.volumes.mkdir(parents=True, exist_ok=True)
    storage = Storage(state)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        for close in state.closing:
            await run_in_threadpool(close)
        await storage.close()

    return Starlette(
        routes=[*_controls(state), *(route for part in _PARTS for route in part.routes(state))],
        middleware=[Middleware(_Gate, state=state, storage=storage)],
        exception_handlers={ApiError: _refused, 404: _unknown, 405: _unknown},
        lifespan=life,
    )


class _Gate:
    """What stands before the API: requests to the object store go there, and only who is known comes in."""

    def __init__(self, app: ASGIApp, state: State, storage: Storage) -> None:
        self._app, self._state, self._storage = app, state, storage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._app
        if scope["type"] == "http":
            request = Request(scope, receive)
            try:
                if signed(request):
                    app = await self._storage.answer(request)
                else:
                    _admit(self._state, request)
            except ApiError as error:
                app = error.response
        await app(scope, receive, send)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return error.response


async def _unknown(request: Request, _: Exception) -> Response:
    message = f"No API found for '{request.method} {request.url.path.removeprefix('/api')}'"
    return ApiError(404, "ENDPOINT_NOT_FOUND", message).response


def _admit(state: State, request: Request) -> None:
    """Raises ApiError for a call without a token that is known, and for one that is to meet a fault."""
    if request.url.path.startswith("/__"):
        return  # what a test tells the stand-in
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        raise ApiError(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")
    if token not in state.tokens or state.faults.take("expired"):
        raise ApiError(403, "PERMISSION_DENIED", "Invalid access token.")
    if state.faults.take("denied"):
        raise ApiError(403, "PERMISSION_DENIED", "User does not have permission to do this.")
    if state.faults.take("throttled"):
        raise ApiError(429, "REQUEST_LIMIT_EXCEEDED", "Current request has to be throttled. Please try again later.")
    if state.faults.take("broken"):
        raise ApiError(500, "INTERNAL_ERROR", "An internal error occurred.")


def _controls(state: State) -> list[Route]:
    """What a test tells the stand-in, beside its API."""

    async def fault(request: Request) -> Response:
        named = request.path_params["fault"]
        if named not in faults.FAULTS:
            raise invalid(f"no such fault: {named}")
        state.faults.set(named, request.path_params["times"])
        return Response()

    async def lifetime(request: Request) -> Response:
        state.lifetime_seconds = request.path_params["seconds"]
        return Response()

    return [
        Route(f"{faults.PATH}/{{fault}}/{{times:int}}", fault, methods=["PUT"]),
        Route(f"{LIFETIME}/{{seconds:float}}", lifetime, methods=["PUT"]),
    ]


if __name__ == "__main__":
    stand_in.serve(application(State(Path(sys.argv[1]), S3(**json.loads(sys.argv[2])))))
