"""The server: the endpoints behind one port, and what it does for each route.

Routes are the Open Inference Protocol (V2) for clients, the control of what serves for the host, and metrics.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ml_platform.engine.online import EVENT_TIME
from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.jobs.serving.body import read_body
from ml_platform.jobs.serving.gathering import Gathering
from ml_platform.jobs.serving.metrics import CONTENT_TYPE, Metrics
from ml_platform.jobs.serving.room import Room
from ml_platform.jobs.serving.served import PROGRAM, Served
from ml_platform.jobs.serving.settings import ServerSettings
from ml_platform.jobs.serving.tensors import RequestError, datatype
from ml_platform.jobs.serving.wire import decode

_VERSION = "1"  # of the routes
_COMING = 16  # bodies that may be on their way, for each request that may be answered at once
_LONG_AT_ONCE, _LONG_THREADS = 8, 2  # of longer bodies
_SHORT_BYTES = 4096  # a few rows


class Server:
    """The endpoints behind one port, and the handlers of the routes.

    loading: the endpoint that it starts with, a model in the protocol's paths. token: what a host shows to read or
    change what serves. bearer: what everybody shows to ask; empty where nothing is asked for.
    served: endpoint → the revision that answers; one that is loaded is put there whole, and the one that it takes the
    place of answers what it has begun.
    """

    def __init__(self, loading: str, token: str, settings: ServerSettings | None = None) -> None:
        self.served: dict[str, Served] = {}
        self.metrics = Metrics()
        self._loading, self._token = loading, token
        self._settings = settings or ServerSettings()
        self._bearer = self._settings.token
        self._swap = asyncio.Lock()
        self._gathering = Gathering(self.metrics.batched)
        most = self._settings.max_concurrent
        self._answering = Room(most)
        self._coming = Room(_COMING * most, " whose body is on its way")
        self._long = Room(_LONG_AT_ONCE, f" of more than {_SHORT_BYTES} bytes")
        # Apart from each other and from what looks features up, so that none of them waits for another.
        self._long_bodies = ThreadPoolExecutor(_LONG_THREADS, "long")
        self._loads = ThreadPoolExecutor(1, "load")

    def close(self) -> None:
        """What shadows were to do is done, and every log that waits for a disk has waited."""
        for served in self.served.values():
            served.finish()

    async def server(self) -> Response:
        """What the server is."""
        return as_json({"name": "ml_platform", "version": _VERSION, "extensions": []})

    async def live(self) -> Response:
        """That the server runs."""
        return as_json({"live": True})

    async def ready(self) -> Response:
        """Whether an endpoint answers; 503 while none does."""
        return as_json({"ready": bool(self.served)}, 200 if self.served else 503)

    async def model(self, name: str, request: Request) -> Response:
        """What the model takes and gives."""
        self._permit(request)
        served = self._serving(name)
        types = {**served.spec.request, EVENT_TIME: "string", **served.takes}
        return as_json(
            {
                "name": name,
                "versions": [str(version) for version in sorted(served.spec.packages)],
                "platform": "ml_platform",
                "inputs": [{"name": key, "datatype": datatype(kind), "shape": [-1]} for key, kind in types.items()],
                "outputs": served.outputs,
            }
        )

    async def model_version(self, name: str, version: str, request: Request) -> Response:
        """What the model takes and gives, which is the same for all of its versions."""
        self._permit(request)
        self._loaded(self._serving(name), version)
        return await self.model(name, request)

    async def model_ready(self, name: str, request: Request) -> Response:
        """Whether the model answers; 503 while it does not."""
        self._permit(request)
        return as_json({"name": self._serving(name).spec.name, "ready": True})

    async def version_ready(self, name: str, version: str, request: Request) -> Response:
        """Whether that version of the model answers whoever names it."""
        self._permit(request)
        return as_json({"name": name, "version": str(self._loaded(self._serving(name), version)), "ready": True})

    async def infer(self, name: str, request: Request) -> Response:
        """An answer for each row; every row is in the prediction log before the answer is sent."""
        return await self._measured(name, None, request)

    async def infer_by(self, name: str, version: str, request: Request) -> Response:
        """As `infer`, by that version of the model, whatever its share."""
        return await self._measured(name, version, request)

    async def figures(self, request: Request) -> Response:
        """The figures of the server, for Prometheus."""
        self._permit(request)
        lags = {name: served.log_lag_seconds for name, served in self.served.items()}
        dropped = {name: served.shadow.dropped for name, served in self.served.items()}
        self.metrics.in_flight = self._answering.taken
        return Response(self.metrics.written(lags, dropped), media_type=CONTENT_TYPE)

    async def revision(self, name: str, request: Request) -> Response:
        """What serves now."""
        self._authorize(request)
        return self._revision(name)

    async def change_revision(self, name: str, request: Request) -> Response:
        """What serves now, which is what the body says; 409, and what served before serves on, where it cannot be."""
        self._authorize(request)
        try:
            # Without a place, for whoever may change what serves is not to wait for clients whose bodies do not come.
            raw = await read_body(request, self._settings.max_body_bytes)
            spec, number = decode(orjson.loads(raw))
            if spec.name != name:
                raise DeclarationError(f"the spec is of endpoint {spec.name}, but the path names {name}")
            async with self._swap:
                loop, most = asyncio.get_running_loop(), self._settings.max_rows
                self.served[name] = await loop.run_in_executor(self._loads, Served.load, spec, number, most)
        except (PlatformError, orjson.JSONDecodeError) as error:
            return as_json({"error": str(error)}, 409)
        return self._revision(name)

    async def release(self, name: str, request: Request) -> Response:
        """The endpoint is not served any more; which ones still are."""
        self._authorize(request)
        async with self._swap:
            if gone := self.served.pop(name, None):
                await asyncio.to_thread(gone.finish)
        return as_json({"endpoints": sorted(self.served)})

    async def _measured(self, name: str, version: str | None, request: Request) -> Response:
        """The answer, or the refusal, once it is counted."""
        started, code, by = time.perf_counter(), 500, ""
        known = name if name in self.served else ""
        try:
            self._permit(request)
            body, by = await self._answered(name, version, request)
            code = 200
            return _Answer(body)
        except HTTPException as error:
            code = error.status_code
            raise
        except PlatformError as error:
            code = status_of(error)
            raise
        finally:
            self.metrics.answered(known, by, code, time.perf_counter() - started)

    async def _answered(self, name: str, version: str | None, request: Request) -> tuple[bytes, str]:
        served = self._serving(name)
        named = None if version is None else self._loaded(served, version)
        with self._coming:
            raw = await read_body(request, self._settings.max_body_bytes)
        # A place is taken by what can be answered: one whose body never comes keeps none.
        with self._answering:
            if len(raw) <= _SHORT_BYTES:
                return await self._gathering.respond(served, raw, named)
            # In a thread, and by itself, for it takes long enough for others to be answered meanwhile.
            with self._long:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._long_bodies, served.respond, raw, named)

    def _serving(self, name: str) -> Served:
        if name in self.served:
            return self.served[name]
        if name == self._loading and not self.served:
            raise HTTPException(503, f"model {name} is loading, but a request needs it. Send it again in a moment.")
        raise HTTPException(404, f"model {name} is unknown, but this server has {', '.join(sorted(self.served))}.")

    def _loaded(self, served: Served, version: str) -> int:
        known = {str(number): number for number in served.spec.packages}
        if version not in known:
            raise HTTPException(
                404, f"version {version} of model {served.spec.name} is unknown, but it has {', '.join(sorted(known))}."
            )
        return known[version]

    def _permit(self, request: Request) -> None:
        if self._bearer:
            _require(request, self._bearer, "requests show it")

    def _authorize(self, request: Request) -> None:
        _require(request, self._token, "control needs it")

    def _revision(self, name: str) -> Response:
        served = self._serving(name)
        return as_json(
            {
                "endpoint": name,
                "number": served.number,
                "split": {str(version): share for version, share in served.spec.split.shares.items()},
                "digests": {str(version): digest for version, digest in served.digests.items()},
                "shadow": served.spec.shadow,
                "fingerprint": served.fingerprint,
                "program": PROGRAM,
                "settings": self._settings.told,
            }
        )


def _require(request: Request, token: str, why: str) -> None:
    shown = request.headers.get("authorization", "")
    if not hmac.compare_digest(shown.encode(), f"Bearer {token}".encode()):
        raise HTTPException(401, f"the token is wrong or missing, but {why}", {"WWW-Authenticate": "Bearer"})


class _Answer(Response):
    """The response to a prediction: its two headers are written at once, for working them out costs what a row does."""

    def __init__(self, body: bytes) -> None:
        self.status_code, self.body, self.background = 200, body, None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]


def as_json(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The response that holds the content."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def status_of(error: PlatformError) -> int:
    """The HTTP status by which a failure is told: the client's own, or one that passes."""
    return 400 if isinstance(error, RequestError) else 503
