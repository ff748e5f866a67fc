"""A deployed model: the container that serves it, and how it is asked."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import Any

import httpx
from google.protobuf import json_format

from ml_platform.engine.loopback import trusting_nobody
from ml_platform.testing.container import Container
from resources.gcp.testing.vertex_containers import Containers
from resources.gcp.testing.vertex_error import VertexError

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_UNHEALTHY_SECONDS = 0.5
_PREDICT_SECONDS = 60.0
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 10.0
_NOT_READY = (
    "Model server never became ready. Please validate that your model file or container configuration are valid. "
    "Model server logs can be found at {}."
)


class Server:
    """The container of a model, told where to listen as the service tells it."""

    def __init__(self, container: Container, spec: Any, port: int) -> None:
        self._container = container
        self._url = f"http://{_HOST}:{port}"
        self._health = self._url + (spec.health_route or "/v1/health")
        self._predict = self._url + (spec.predict_route or "/v1/predict")

    @classmethod
    def start(cls, containers: Containers, model: Any, endpoint: str, deployed_id: str) -> Server:
        """The container runs; whether it serves is another question."""
        spec = model.container_spec
        with socket.create_server((_HOST, 0)) as free:
            port = free.getsockname()[1]
        own = {
            "AIP_HTTP_PORT": str(port),
            "AIP_HEALTH_ROUTE": spec.health_route or "/v1/health",
            "AIP_PREDICT_ROUTE": spec.predict_route or "/v1/predict",
            "AIP_STORAGE_URI": model.artifact_uri,
            "AIP_ENDPOINT_ID": endpoint.rpartition("/")[2],
            "AIP_DEPLOYED_MODEL_ID": deployed_id,
        }
        words = [*spec.command, *spec.args]
        return cls(containers.start(f"deployed-{deployed_id}", words, spec.env, own), spec, port)

    async def ready(self, healthy: bool) -> None:
        """Returns once it is healthy. Raises VertexError, its container ended, where it does not become so."""
        deadline = time.monotonic() + (_START_SECONDS if healthy else _UNHEALTHY_SECONDS)
        while self._container.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            if healthy and await self._answers():
                return
        await self.end()
        raise VertexError("FAILED_PRECONDITION", _NOT_READY.format(self._container.log))

    async def predict(self, request: Any) -> list[Any]:
        """The predictions. Raises VertexError with what the container said where it gave none."""
        body: dict[str, Any] = {"instances": [json_format.MessageToDict(one) for one in request.instances]}
        if request.HasField("parameters"):
            body["parameters"] = json_format.MessageToDict(request.parameters)
        try:
            async with httpx.AsyncClient(verify=trusting_nobody(), trust_env=False, timeout=_PREDICT_SECONDS) as client:
                answer = await client.post(self._predict, json=body)
        except httpx.TransportError as error:
            raise VertexError("UNAVAILABLE", f"The model server does not answer ({type(error).__name__}).") from error
        if answer.status_code != 200:
            refused = {503: "UNAVAILABLE"}.get(answer.status_code, "INTERNAL")
            raise VertexError("INVALID_ARGUMENT" if answer.status_code < 500 else refused, answer.text)
        try:
            return list(answer.json()["predictions"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise VertexError("INTERNAL", f"The model server's answer has no predictions: {answer.text}") from error

    async def end(self) -> None:
        """It does not run."""
        await asyncio.to_thread(self._container.stop, _GRACE_SECONDS)

    async def _answers(self) -> bool:
        try:
            async with httpx.AsyncClient(verify=trusting_nobody(), trust_env=False) as client:
                return (await client.get(self._health)).status_code == 200
        except httpx.TransportError:
            return False
