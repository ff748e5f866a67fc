from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml_platform.engine.package import digest
from ml_platform.jobs.serving.app import Application
from ml_platform.jobs.serving.served import PROGRAM, Served
from ml_platform.jobs.serving.server import Server
from ml_platform.jobs.serving.settings import ServerSettings
from ml_platform.jobs.serving.wire import encode
from ml_platform.records.endpoint import EndpointSpec, TrafficSplit
from ml_platform.testing.endpoint_host import infer_request, write_package

INFER = "/v2/models/arrival_delay/infer"
CONTROL = {"Authorization": "Bearer secret"}
REVISION = "/control/models/arrival_delay"
MAX_BODY_BYTES = ServerSettings().max_body_bytes


class Client:
    """Calls the application without a server."""

    def __init__(self, server: Server) -> None:
        self._transport = httpx.ASGITransport(Application(server), raise_app_exceptions=False)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://test") as client:
                return await client.request(method, path, **more)

        return asyncio.run(send())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def put(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PUT", path, **more)


@pytest.fixture
def server(spec: EndpointSpec) -> Server:
    server = Server("arrival_delay", "secret")
    server.served["arrival_delay"] = Served.load(spec, 3)
    return server


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server)


def test_health_and_metadata_are_told(client: Client) -> None:
    assert client.get("/v2").json()["name"] == "ml_platform"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/arrival_delay/ready").json() == {"name": "arrival_delay", "ready": True}
    assert client.get("/v2/models/arrival_delay").json() == {
        "name": "arrival_delay",
        "versions": ["1"],
        "platform": "ml_platform",
        "inputs": [
            {"name": "flight_id", "datatype": "BYTES", "shape": [-1]},
            {"name": "event_time", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [{"name": "probability", "datatype": "FP64", "shape": [-1]}],
    }


def test_request_is_answered(client: Client) -> None:
    response = client.post(INFER, json=infer_request("UA1"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["outputs"][0]["data"] == [0.25]


def test_version_that_the_path_names_answers_whatever_its_share(
    client: Client, server: Server, spec: EndpointSpec, tmp_path: Path
) -> None:
    second = str(write_package(tmp_path / "second", rate=0.75))
    server.served["arrival_delay"] = Served.load(replace(spec, packages={**spec.packages, 2: second}), 4)
    versions = "/v2/models/arrival_delay/versions"
    assert client.get(f"{versions}/2/ready").json() == {"name": "arrival_delay", "version": "2", "ready": True}
    assert client.get(f"{versions}/2").json() == client.get("/v2/models/arrival_delay").json()
    answer = client.post(f"{versions}/2/infer", json=infer_request("UA1")).json()
    assert (answer["model_version"], answer["outputs"][0]["data"]) == ("2", [0.75])
    assert client.post(INFER, json=infer_request("UA1")).json()["model_version"] == "1"
    for path in (f"{versions}/3", f"{versions}/3/ready", f"{versions}/01/ready"):
        assert client.get(path).status_code == 404
    response = client.post(f"{versions}/3/infer", json=infer_request("UA1"))
    assert response.status_code == 404
    assert response.json()["error"] == "version 3 of model arrival_delay is unknown, but it has 1, 2."


def test_routes_are_described(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert paths["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "required"
    ] == ["inputs"]
    assert set(paths["/control/models/{name}"]) == {"get", "put", "delete"}


def test_endpoint_that_is_loading_lives_and_is_not_ready(client: Client, server: Server) -> None:
    server.served.clear()
    assert client.get("/v2/health/live").status_code == 200
    assert (client.get("/v2/health/ready").status_code, client.get("/v2/health/ready").json()) == (
        503,
        {"ready": False},
    )
    for response in (
        client.get("/v2/models/arrival_delay"),
        client.get("/v2/models/arrival_delay/ready"),
        client.post(INFER, json=infer_request("UA1")),
        client.get(REVISION, headers=CONTROL),
    ):
        assert response.status_code == 503
        assert "arrival_delay is loading" in response.json()["error"]


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/other/ready", "/v2/models/other/infer"])
def test_unknown_model_is_not_found(client: Client, path: str) -> None:
    response = client.request("POST" if path.endswith("infer") else "GET", path)
    assert response.status_code == 404
    assert "model other is unknown" in response.json()["error"]


def test_unknown_route_and_method_are_told_in_the_protocols_form(client: Client) -> None:
    assert (client.get("/v3").status_code, client.get("/v3").json()) == (404, {"error": "Not Found"})
    assert (client.get(INFER).status_code, client.get(INFER).json()) == (405, {"error": "Method Not Allowed"})


def test_bad_body_is_refused_with_the_inputs_name(client: Client) -> None:
    response = client.post(INFER, json=infer_request("UA1", moment="2013-12-30T16:00:00"))
    assert response.status_code == 400
    assert response.json()["error"].startswith("input 'event_time' is \"2013-12-30T16:00:00\" in row 0")
    assert client.post(INFER, content=b"{").status_code == 400


def test_body_over_the_limit_is_refused(client: Client) -> None:
    assert client.post(INFER, content=b" " * MAX_BODY_BYTES).status_code == 400
    response = client.post(INFER, content=b" " * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413
    assert f"over {MAX_BODY_BYTES} bytes" in response.json()["error"]


def test_service_that_fails_is_told_as_a_passing_state(client: Client, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    response = client.post(INFER, json=infer_request("UA1"))
    assert response.status_code == 503
    assert "every answer is logged" in response.json()["error"]


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer sécret".encode()}]
)
def test_control_needs_the_token(client: Client, headers: dict[str, str]) -> None:
    for method in ("GET", "PUT"):
        response = client.request(method, REVISION, headers=headers)
        assert response.status_code == 401
        assert "token" in response.json()["error"]
        assert "secret" not in response.text


def test_control_tells_what_serves(client: Client, spec: EndpointSpec) -> None:
    answer = client.get(REVISION, headers=CONTROL).json()
    assert len(answer.pop("fingerprint")) == 64
    assert answer.pop("program") == PROGRAM
    assert answer == {
        "endpoint": "arrival_delay",
        "number": 3,
        "split": {"1": 1.0},
        "digests": {"1": digest(Path(spec.packages[1]))},
        "shadow": None,
        "settings": ServerSettings().told,
    }


def test_control_changes_what_serves(client: Client, spec: EndpointSpec, tmp_path: Path) -> None:
    package = write_package(tmp_path / "second", rate=0.75)
    changed = replace(spec, packages={2: str(package)}, split=TrafficSplit({2: 1.0}))
    response = client.put(REVISION, json=encode(changed, 4), headers=CONTROL)
    assert (response.status_code, response.json()["number"]) == (200, 4)
    assert client.post(INFER, json=infer_request("UA1")).json()["outputs"][0]["data"] == [0.75]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "the spec is of endpoint other, but the path names arrival_delay"),
        ({"split": {"1": 0.5}}, "the traffic split"),
        ({"packages": {"1": "/nowhere"}}, "/nowhere is no model package"),
        ({"views": None}, "the endpoint's spec is unreadable"),
    ],
)
def test_spec_that_cannot_be_served_changes_nothing(
    client: Client, spec: EndpointSpec, changes: dict[str, object], message: str
) -> None:
    response = client.put(REVISION, json={**encode(spec, 4), **changes}, headers=CONTROL)
    assert response.status_code == 409
    assert message in response.json()["error"]
    assert client.get(REVISION, headers=CONTROL).json()["number"] == 3
    assert client.put(REVISION, content=b"{", headers=CONTROL).status_code == 409
    assert client.post(INFER, json=infer_request("UA1")).json()["parameters"]["revision"] == 3


def test_failure_that_nobody_foresaw_is_told_without_its_words_and_by_both_ways(
    client: Client, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError("its words")

    monkeypatch.setattr(Served, "respond_all", broken)
    monkeypatch.setattr(Served, "outputs", property(broken))
    for response in (client.post(INFER, json=infer_request("UA1")), client.get("/v2/models/arrival_delay")):
        assert response.status_code == 500
        assert response.json() == {"error": "ZeroDivisionError in the server; its log says more"}
    assert "ZeroDivisionError: its words" in capsys.readouterr().err
