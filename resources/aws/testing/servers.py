"""The servers behind an endpoint: a container for each variant or component, healthy or gone."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from ml_platform.engine import loopback
from ml_platform.testing.container import Container
from resources.aws.testing.account import Account
from resources.aws.testing.service_model import Refusal

_POLL_SECONDS = 0.05
_START_SECONDS = 60.0
_CALL_SECONDS = 60.0


class Unhealthy(Exception):  # noqa: N818 - it becomes the endpoint's FailureReason
    """A container that did not answer its health check."""


@dataclass(frozen=True)
class Server:
    """The container of one variant. weight: its share of the traffic beside those of the others."""

    variant: str
    weight: float
    container: Container
    url: str

    def answer(self, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """What the container answers to one invocation."""
        try:
            return loopback.request(
                "POST", f"{self.url}/invocations", content=body, headers=headers, timeout=_CALL_SECONDS
            )
        except httpx.TransportError:
            return httpx.Response(500, text="the container did not answer")


def started(
    account: Account, group: str, variants: Sequence[Mapping[str, Any]], models: Mapping[str, Any]
) -> list[Server]:
    """A healthy server for each variant that has a model. Raises Unhealthy, and none runs, otherwise.

    group: of the logs that containers print to.
    """
    servers: list[Server] = []
    try:
        if account.faults.take("unhealthy"):
            raise Unhealthy(_unhealthy(variants[0]["VariantName"]))
        # Kept one by one, so that those which started are ended where the next one does not.
        own = [variant for variant in variants if "ModelName" in variant]
        servers.extend(_start(account, group, variant, models[variant["ModelName"]]) for variant in own)
        for server in servers:
            _wait(server)
    except BaseException:
        ended(servers)
        raise
    return servers


def ended(servers: Sequence[Server]) -> None:
    """None of the servers runs."""
    for server in servers:
        server.container.stop(1.0)


def chosen(servers: Sequence[Server], variant: str | None) -> Server:
    """The variant that is asked for, or one by their weights."""
    if variant is None:
        return random.choices(servers, [server.weight for server in servers])[0]  # noqa: S311 - it is traffic
    for server in servers:
        if server.variant == variant:
            return server
    raise Refusal("ValidationError", f"Variant {variant} not found for Request")


def _start(account: Account, group: str, variant: Mapping[str, Any], model: Mapping[str, Any]) -> Server:
    folder = account.folder()
    base = folder / "opt" / "ml"
    account.download(model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"], base / "model")
    port = _free_port()
    own = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(port)}
    given = model["PrimaryContainer"].get("Environment", {})
    # The service passes `serve` to the image, and nothing else.
    variables = {**account.environment, **own, **given}
    container = Container.start(["resources.aws.edge", "serve"], folder, variables, account.told.log())
    name = variant["VariantName"]
    account.print_to(group, f"{name}/i-{container.pid:017x}", container.output)
    return Server(name, variant.get("InitialVariantWeight", 1.0), container, f"http://127.0.0.1:{port}")


def _wait(server: Server) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.container.poll() is None:
        try:
            if loopback.request("GET", f"{server.url}/ping", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(_POLL_SECONDS)
    raise Unhealthy(_unhealthy(server.variant))


def _unhealthy(variant: str) -> str:
    return (
        f"The primary container for production variant {variant} did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
