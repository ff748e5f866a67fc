from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from ml_platform.errors import ServiceError
from ml_platform.jobs.serving.app import Application
from ml_platform.jobs.serving.served import Served
from ml_platform.jobs.serving.server import Server
from ml_platform.jobs.serving.settings import ServerSettings
from ml_platform.jobs.serving.wire import encode
from ml_platform.records.endpoint import EndpointSpec
from ml_platform.testing.endpoint_host import infer_request

INFER = "/v2/models/arrival_delay/infer"
CONTROL = {"Authorization": "Bearer secret"}
TOKEN = "the token of our clients"


def serving(spec: EndpointSpec, **settings: Any) -> Server:
    server = Server("arrival_delay", "secret", ServerSettings(**settings))
    server.served["arrival_delay"] = Served.load(spec, 3)
    return server


def client(server: Server) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Application(server), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def asked(server: Server, method: str, path: str, **more: Any) -> httpx.Response:
    async with client(server) as one:
        return await one.request(method, path, **more)


class Held:
    """A log that keeps every answer until it is let go."""

    waits = True

    def __init__(self) -> None:
        self.free = threading.Event()

    def append(self, _: object) -> None:
        assert self.free.wait(20)


async def half_sent() -> AsyncIterator[bytes]:
    yield b'{"inputs"'
    await asyncio.Event().wait()


async def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def test_more_clients_than_the_limit_are_told_to_come_again(spec: EndpointSpec) -> None:
    server, body, held = serving(spec, max_concurrent=2), infer_request("UA1"), Held()
    server.served["arrival_delay"] = replace(server.served["arrival_delay"], log=held)  # type: ignore[arg-type]

    async def all_at_once() -> tuple[list[int], list[httpx.Response], int]:
        async with client(server) as one:
            # given two clients that are being answered
            begun = [asyncio.create_task(one.post(INFER, json=body)) for _ in range(2)]
            await until(lambda: server._answering.taken == 2)
            assert "requests_in_flight 2" in (await one.get("/metrics")).text
            # when ten more come
            more = [await one.post(INFER, json=body) for _ in range(10)]
            held.free.set()
            done = [(await task).status_code for task in begun]
            # then there is room again
            return done, more, (await one.post(INFER, json=body)).status_code

    done, more, after = asyncio.run(all_at_once())
    assert (done, after) == ([200, 200], 200)
    assert {(response.status_code, response.headers["retry-after"]) for response in more} == {(429, "1")}
    assert "2 requests are being answered" in more[0].json()["error"]
    assert server._answering.taken == 0


def test_bodies_that_do_not_come_keep_nobody_from_an_answer(
    spec: EndpointSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, body = serving(spec, max_concurrent=2), orjson.dumps(infer_request("UA1"))
    monkeypatch.setattr("ml_platform.jobs.serving.body._SECONDS", 1.0)

    async def beside_them() -> tuple[int, int, set[int]]:
        async with client(server) as one:
            # given as many half-sent requests as the server waits for
            begun = [asyncio.create_task(one.post(INFER, content=half_sent())) for _ in range(31)]
            await until(lambda: server._coming.taken == 31)
            answered = (await one.post(INFER, content=body)).status_code
            begun.append(asyncio.create_task(one.post(INFER, content=half_sent())))
            await until(lambda: server._coming.taken == 32)
            refused = (await one.post(INFER, content=body)).status_code
            return answered, refused, {(await task).status_code for task in begun}

    assert asyncio.run(beside_them()) == (200, 429, {408})
    assert (server._coming.taken, server._answering.taken) == (0, 0)


def test_bodies_that_do_not_come_keep_no_endpoint_from_a_change(
    spec: EndpointSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, changed = serving(spec, max_concurrent=1), encode(spec, 4)
    monkeypatch.setattr("ml_platform.jobs.serving.body._SECONDS", 1.0)

    async def beside_them() -> int:
        async with client(server) as one:
            begun = [asyncio.create_task(one.post(INFER, content=half_sent())) for _ in range(16)]
            await until(lambda: server._coming.taken == 16)
            status = (await one.put("/control/models/arrival_delay", json=changed, headers=CONTROL)).status_code
            await asyncio.gather(*begun)
            return status

    assert asyncio.run(beside_them()) == 200
    assert server.served["arrival_delay"].number == 4


def test_long_bodies_wait_for_each_other_and_nobody_waits_for_them(
    spec: EndpointSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, free = serving(spec), threading.Event()
    respond = Served.respond

    def held(served: Served, raw: bytes, version: int | None = None) -> Any:
        assert free.wait(20)
        return respond(served, raw, version)

    monkeypatch.setattr(Served, "respond", held)
    long, short = infer_request(*(["UA1"] * 300)), infer_request("UA1")

    async def mixed() -> tuple[list[int], int, list[int]]:
        async with client(server) as one:
            # given as many long bodies as are taken, of which two are being answered
            begun = [asyncio.create_task(one.post(INFER, json=long)) for _ in range(8)]
            await until(lambda: server._long.taken == 8)
            # when short ones come, then they are answered; one more long one finds no room
            answered = [(await one.post(INFER, json=short)).status_code for _ in range(20)]
            more = (await one.post(INFER, json=long)).status_code
            free.set()
            return answered, more, [(await task).status_code for task in begun]

    assert asyncio.run(mixed()) == ([200] * 20, 429, [200] * 8)


def test_request_of_too_many_rows_is_refused_before_anything_is_scored(
    spec: EndpointSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, name = serving(spec, max_rows=3), "/control/models/arrival_delay"
    assert asyncio.run(asked(server, "PUT", name, json=encode(spec, 4), headers=CONTROL)).status_code == 200
    assert asyncio.run(asked(server, "POST", INFER, json=infer_request(*["UA1"] * 3))).status_code == 200
    monkeypatch.setattr("ml_platform.jobs.serving.scoring.Scoring.said", None)
    # short or long, by the split or by its version
    for path, rows in ((INFER, 4), (INFER, 300), (INFER.replace("infer", "versions/1/infer"), 4)):
        refused = asyncio.run(asked(server, "POST", path, json=infer_request(*["UA1"] * rows)))
        assert refused.status_code == 400
        assert f"has {rows} rows, but a request may have 3" in refused.json()["error"]


def test_look_ups_do_not_wait_for_a_revision_that_is_loading(
    spec: EndpointSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, free, inside, load = serving(spec), threading.Event(), threading.Event(), Served.load

    def held(*given: Any) -> Served:
        inside.set()
        assert free.wait(5)
        return load(*given)

    monkeypatch.setattr(Served, "load", held)

    async def beside_it() -> tuple[list[int], int, int]:
        # given one thread for all that has none of its own
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        async with client(server) as one:
            change = one.put("/control/models/arrival_delay", json=encode(spec, 4), headers=CONTROL)
            loading = asyncio.create_task(change)
            await until(inside.is_set)
            told = [(await one.post(INFER, json=infer_request("UA1"))).status_code for _ in range(10)]
            number = server.served["arrival_delay"].number
            free.set()
            return told, number, (await loading).status_code

    assert asyncio.run(beside_it()) == ([200] * 10, 3, 200)
    assert server.served["arrival_delay"].number == 4


def test_slow_model_without_look_ups_keeps_nobody_waiting_but_for_its_first_answer(
    spec: EndpointSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, free, inside = serving(spec), threading.Event(), threading.Event()
    server.served["slow"] = Served.load(replace(spec, name="slow"), 1)
    respond, body = Served.respond_all, infer_request("UA1")

    def slow(served: Served, asked: Any) -> Any:
        if served.spec.name == "slow":
            # the first answer says how long it takes, those behind it are held
            assert free.wait(5) if inside.is_set() else not time.sleep(0.1)
            inside.set()
        return respond(served, asked)

    monkeypatch.setattr(Served, "respond_all", slow)
    monkeypatch.setattr(Served, "waits", False)

    async def beside_it() -> tuple[list[int], bool, int]:
        async with client(server) as one:
            assert (await one.post("/v2/models/slow/infer", json=body)).status_code == 200
            held = asyncio.create_task(one.post("/v2/models/slow/infer", json=body))
            await until(lambda: server._answering.taken == 1)
            told = [(await one.post(INFER, json=body)).status_code for _ in range(10)]
            told.append((await one.get("/v2/health/live")).status_code)
            waiting = not held.done()
            free.set()
            return told, waiting, (await held).status_code

    assert asyncio.run(beside_it()) == ([200] * 11, True, 200)


def test_requests_show_the_token_where_one_is_asked_for(spec: EndpointSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_TOKEN", TOKEN)
    server = serving(spec, bearer="SERVING_TOKEN")
    shown = {"Authorization": f"Bearer {TOKEN}"}
    named = "/v2/models/arrival_delay"
    paths = (named, f"{named}/ready", f"{named}/versions/1", f"{named}/versions/1/ready", "/metrics")
    for method, path in (("POST", INFER), ("POST", f"{named}/versions/1/infer"), *(("GET", path) for path in paths)):
        more = {"json": infer_request("UA1")} if method == "POST" else {}
        refused = asyncio.run(asked(server, method, path, **more))
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert TOKEN not in refused.text
        assert asyncio.run(asked(server, method, path, headers=shown, **more)).status_code == 200
    # nor is anybody told which models and versions there are
    for path in ("/v2/models/other/ready", f"{named}/versions/9", f"{named}/versions/9/ready"):
        assert asyncio.run(asked(server, "GET", path)).status_code == 401
    # health is for everybody, and control is not for clients
    assert asyncio.run(asked(server, "GET", "/v2/health/ready")).status_code == 200
    assert asyncio.run(asked(server, "GET", "/control/models/arrival_delay", headers=shown)).status_code == 401


def test_figures_count_every_answer_by_version_and_code(spec: EndpointSpec) -> None:
    server = serving(spec)
    for body in (infer_request("UA1"), infer_request("UA1", "B62"), infer_request("UA1", moment="now")):
        asyncio.run(asked(server, "POST", INFER, json=body))
    asyncio.run(asked(server, "POST", "/v2/models/other/infer", json=infer_request("UA1")))
    text = asyncio.run(asked(server, "GET", "/metrics")).text
    assert 'ml_platform_requests_total{model="arrival_delay",version="1",code="200"} 2' in text
    assert 'ml_platform_requests_total{model="arrival_delay",version="",code="400"} 1' in text
    # a name that is not ours makes no series of its own
    assert 'ml_platform_requests_total{model="",version="",code="404"} 1' in text
    assert "ml_platform_requests_in_flight 0" in text
    assert 'ml_platform_log_lag_seconds{model="arrival_delay"}' in text


def test_failure_of_ours_is_counted_as_one(spec: EndpointSpec) -> None:
    server = serving(spec)

    class Gone:
        def append(self, _: object) -> None:
            raise ServiceError("the log is gone, but every answer is logged")

    server.served["arrival_delay"] = replace(server.served["arrival_delay"], log=Gone())  # type: ignore[arg-type]
    assert asyncio.run(asked(server, "POST", INFER, json=infer_request("UA1"))).status_code == 503
    assert 'version="",code="503"} 1' in asyncio.run(asked(server, "GET", "/metrics")).text


def test_server_has_several_models_and_lets_go_of_each(spec: EndpointSpec, tmp_path: Path) -> None:
    server = serving(spec)
    second = encode(replace(spec, name="other"), 1)
    assert asyncio.run(asked(server, "PUT", "/control/models/other", json=second, headers=CONTROL)).status_code == 200
    answer = asyncio.run(asked(server, "POST", "/v2/models/other/infer", json=infer_request("UA1"))).json()
    assert (answer["model_name"], answer["parameters"]["revision"]) == ("other", 1)
    assert asyncio.run(asked(server, "POST", INFER, json=infer_request("UA1"))).json()["parameters"]["revision"] == 3
    # each has a log of its own
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["arrival_delay.jsonl", "other.jsonl"]
    gone = asyncio.run(asked(server, "DELETE", "/control/models/arrival_delay", headers=CONTROL))
    assert gone.json() == {"endpoints": ["other"]}
    missing = asyncio.run(asked(server, "POST", INFER, json=infer_request("UA1")))
    assert (missing.status_code, missing.json()["error"]) == (
        404,
        "model arrival_delay is unknown, but this server has other.",
    )
    assert asyncio.run(asked(server, "DELETE", "/control/models/other")).status_code == 401


def test_what_is_closed_has_nothing_left_to_write(spec: EndpointSpec) -> None:
    server = serving(spec)
    asyncio.run(asked(server, "POST", INFER, json=infer_request("UA1")))
    server.close()
    assert server.served["arrival_delay"].log_lag_seconds == 0.0
