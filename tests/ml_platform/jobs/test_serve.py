from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml_platform.errors import ServiceError
from ml_platform.jobs.serve import listen
from ml_platform.jobs.serving.settings import ServerSettings
from ml_platform.jobs.serving.wire import encode
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.testing.endpoint_host import endpoint_spec, infer_request, publish_views, write_package
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.prediction_log import EmbeddedPredictionLog

ROOT = Path(__file__).parents[3]
INFER = "/v2/models/arrival_delay/infer"
MAX_BODY_BYTES = ServerSettings().max_body_bytes


@pytest.fixture
def spec(tmp_path: Path) -> EndpointSpec:
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    return endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": str(tmp_path / "log")}),
    )


@contextmanager
def program(spec: EndpointSpec, tmp_path: Path, port: int, **changes: Any) -> Iterator[subprocess.Popen[str]]:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**encode(spec, 1), "port": port, "token": "t", **changes}))
    command = [sys.executable, "-m", "ml_platform.jobs.serve", "--spec", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with listen("127.0.0.1", 0) as free:
        return int(free.getsockname()[1])


def wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if client.get("/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError


def test_server_answers_until_it_is_told_to_end(spec: EndpointSpec, tmp_path: Path) -> None:
    port = free_port()
    with (
        program(spec, tmp_path, port) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client,
    ):
        wait_until_ready(client)
        assert client.post(INFER, json=infer_request("UA1")).json()["outputs"][0]["data"] == [0.25]

        # a body over the limit is refused before it has all come, announced or not
        too_large = b" " * (3 * MAX_BODY_BYTES)
        assert client.post(INFER, content=too_large).status_code == 413
        assert client.post(INFER, content=iter([too_large[:MAX_BODY_BYTES]] * 3)).status_code == 413

        # a client that leaves in the middle of its request harms nobody
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(b"no HTTP at all\r\n\r\n")
        assert client.post(INFER, json=infer_request("UA1")).status_code == 200

        # told to end, it ends, though a client's connection is still open
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_request_that_was_begun_is_answered_before_the_end(spec: EndpointSpec, tmp_path: Path) -> None:
    port = free_port()
    with program(spec, tmp_path, port) as process, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until_ready(client)
        body = json.dumps(infer_request("UA1")).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
            slow.sendall(
                f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:10]
            )
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            slow.sendall(body[10:])
            assert slow.recv(65536).startswith(b"HTTP/1.1 200")
        process.wait(timeout=10)


def test_shadow_has_answered_everything_before_the_end(spec: EndpointSpec, tmp_path: Path) -> None:
    port, second = free_port(), write_package(tmp_path / "second", rate=0.75)
    shadowed = replace(spec, packages={**spec.packages, 2: str(second)}, shadow=2)
    with (
        program(shadowed, tmp_path, port) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client,
    ):
        wait_until_ready(client)
        for _ in range(20):
            client.post(INFER, json=infer_request("UA1", "B62")).raise_for_status()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    records = EmbeddedPredictionLog(str(tmp_path / "log")).since("arrival_delay", 0, 1000)[0]
    assert [sum(record.shadow is shadow for record in records) for shadow in (False, True)] == [40, 40]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"packages": {"1": "/nowhere"}}, "/nowhere is no model package"), ({"views": 3}, "spec is unreadable")],
)
def test_spec_that_cannot_be_served_ends_the_server(
    spec: EndpointSpec, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with program(spec, tmp_path, free_port(), **changes) as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert message in said
    assert "Traceback" not in said


def test_port_in_use_ends_the_server(spec: EndpointSpec, tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} is not free"):
            listen("127.0.0.1", port)
        with program(spec, tmp_path, port) as process:
            _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"port {port} is not free on 127.0.0.1" in said


def test_more_than_the_server_takes_at_once_are_told_429_and_those_inside_are_answered(
    spec: EndpointSpec, tmp_path: Path
) -> None:
    port = free_port()
    with program(spec, tmp_path, port, max_concurrent=2), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until_ready(client)
        body = json.dumps(infer_request("UA1")).encode()
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        # given clients whose bodies do not come, as many as are waited for
        slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(32)]
        for one in slow[:-1]:
            one.sendall(head + body[:5])
        assert client.post(INFER, content=body).status_code == 200
        slow[-1].sendall(head + body[:5])
        until = time.monotonic() + 20
        while client.post(INFER, content=body).status_code == 200 and time.monotonic() < until:
            time.sleep(0.02)
        # when eight clients come beside them
        with ThreadPoolExecutor(8) as clients:
            told = list(clients.map(lambda _: httpx.post(f"{client.base_url}{INFER}", content=body), range(24)))
        assert {(one.status_code, one.headers["retry-after"]) for one in told} == {(429, "1")}
        # then those inside are answered, and whoever comes behind them
        for one in slow:
            one.sendall(body[5:])
            assert one.recv(15) == b"HTTP/1.1 200 OK"
            one.close()
        assert client.post(INFER, content=body).status_code == 200
