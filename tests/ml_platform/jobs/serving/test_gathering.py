from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from ml_platform.engine.estimators.baseline import BaselineEstimator
from ml_platform.engine.package import Feature, ModelCard, write_card
from ml_platform.errors import ServiceError
from ml_platform.jobs.serving import gathering
from ml_platform.jobs.serving.gathering import Gathering
from ml_platform.jobs.serving.served import Response, Served
from ml_platform.jobs.serving.tensors import RequestError
from ml_platform.records.endpoint import EndpointSpec
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.prediction_log import PredictionLog
from ml_platform.testing.endpoint_host import infer_request
from resources.embedded.prediction_log import EmbeddedPredictionLog

Asked = tuple[bytes, int | None]


class CountedLog:
    """A log that counts how often it is written to, and waits before each where it is told to."""

    def __init__(self, log: PredictionLog, *, free: threading.Event | None = None) -> None:
        self.appended: list[int] = []
        self._log, self._free = log, free
        self.waits = free is not None

    def append(self, records: Sequence[ServedPrediction]) -> None:
        if self._free:
            self._free.wait(20)
        self.appended.append(len(records))
        self._log.append(records)


def asking(spec: EndpointSpec, tmp_path: Path, free: threading.Event | None = None) -> tuple[Served, CountedLog]:
    """A revision that looks nothing up: the caller says the carrier."""
    package = tmp_path / "short"
    package.mkdir()
    write_card(package, ModelCard("binary", "baseline", "late", (Feature("flight_id", "category"),), {}, seed=1))
    BaselineEstimator(0.25).save(package)
    served = Served.load(replace(spec, packages={1: str(package)}, views=()), 1)
    log = CountedLog(EmbeddedPredictionLog(str(tmp_path / "log")), free=free)
    return replace(served, log=log), log


def body(flight: str) -> bytes:
    return orjson.dumps(infer_request(flight, id=flight))


async def gathered(served: Served, asked: Sequence[bytes], batches: list[str]) -> list[Response | BaseException]:
    gathering = Gathering(batches.append)
    return await asyncio.gather(*(gathering.respond(served, raw, None) for raw in asked), return_exceptions=True)


def ids(found: Sequence[Response | BaseException]) -> list[str]:
    return [orjson.loads(one[0])["id"] for one in found if not isinstance(one, BaseException)]


def test_requests_of_one_moment_are_one_batch_of_the_model_and_one_write_of_the_log(
    spec: EndpointSpec, tmp_path: Path
) -> None:
    served, log = asking(spec, tmp_path)
    batches: list[str] = []
    flights = [f"UA{number}" for number in range(20)]
    found = asyncio.run(gathered(served, [*map(body, flights)], batches))
    # each has its own answer
    assert ids(found) == flights
    assert (batches, log.appended) == (["arrival_delay"], [20])


def test_a_lone_request_does_not_wait_for_others(spec: EndpointSpec, tmp_path: Path) -> None:
    served, log = asking(spec, tmp_path)
    batches: list[str] = []
    for flight in ("UA1", "UA2"):
        assert ids(asyncio.run(gathered(served, [body(flight)], batches))) == [flight]
    assert log.appended == [1, 1]


def test_what_is_wrong_with_one_request_is_told_to_nobody_else(spec: EndpointSpec, tmp_path: Path) -> None:
    served, log = asking(spec, tmp_path)
    found = asyncio.run(gathered(served, [body("UA1"), b'{"inputs": 3}', body("UA2")], []))
    assert ids(found) == ["UA1", "UA2"]
    assert isinstance(found[1], RequestError)
    assert log.appended == [2]


def test_those_who_come_while_others_wait_share_the_next_batch(spec: EndpointSpec, tmp_path: Path) -> None:
    free = threading.Event()
    served, log = asking(spec, tmp_path, free)
    batches: list[str] = []

    async def all_told() -> list[Response | BaseException]:
        gathering, tasks = Gathering(batches.append), []
        # given four batches that wait for the log
        for number in range(4):
            tasks.append(asyncio.create_task(gathering.respond(served, body(f"UA{number}"), None)))
            while len(batches) <= number:
                await asyncio.sleep(0)
        # when thirty more come
        tasks += [asyncio.create_task(gathering.respond(served, body(f"B6{n}"), None)) for n in range(30)]
        for _ in range(5):
            await asyncio.sleep(0)
        begun = len(batches)
        free.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert begun == 4
        return found

    assert len(ids(asyncio.run(all_told()))) == 34
    # then they were one batch
    assert sorted(log.appended) == [1, 1, 1, 1, 30]


def test_a_caller_who_has_gone_keeps_no_answer_from_the_others(spec: EndpointSpec, tmp_path: Path) -> None:
    served, log = asking(spec, tmp_path)

    async def one_goes() -> list[Response | BaseException]:
        gathering = Gathering(lambda _: None)
        going = asyncio.create_task(gathering.respond(served, body("UA1"), None))
        staying = asyncio.create_task(gathering.respond(served, body("UA2"), None))
        await asyncio.sleep(0)
        going.cancel()
        return await asyncio.gather(staying, return_exceptions=True)

    assert ids(asyncio.run(one_goes())) == ["UA2"]
    assert log.appended == [2]


def test_a_log_that_fails_fails_every_request_of_the_batch(spec: EndpointSpec, tmp_path: Path) -> None:
    class Broken(CountedLog):
        def append(self, records: Sequence[ServedPrediction]) -> None:
            raise ServiceError("the log is full")

    served, _ = asking(spec, tmp_path)
    served = replace(served, log=Broken(EmbeddedPredictionLog(str(tmp_path / "log"))))
    found = asyncio.run(gathered(served, [body("UA1"), body("UA2")], []))
    assert [type(one) for one in found] == [ServiceError] * 2


@pytest.mark.parametrize("requests", [1, 3])
def test_what_breaks_the_batch_itself_reaches_whoever_asked(
    spec: EndpointSpec, tmp_path: Path, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, _ = asking(spec, tmp_path)

    def broken(_: Served, asked: Sequence[Asked]) -> list[Response | Exception]:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Served, "respond_all", broken)
    found = asyncio.run(gathered(served, [body("UA1")] * requests, []))
    assert [type(one) for one in found] == [RuntimeError] * requests


@pytest.mark.parametrize(
    ("took", "inline"),
    [
        # slow from the first on
        ([0.03] * 4, [True] + [False] * 3),
        # slow now and then, as where requests differ in size
        ([0.001, 0.4] * 3, [True] * 2 + [False] * 4),
        # held up once
        ([0.002] * 3 + [0.06] + [0.002] * 3, [True] * 7),
        # quick again, as after a cold start
        ([0.1] + [0.001] * 8, [True] + [False] * 6 + [True] * 2),
    ],
)
def test_a_model_that_is_slow_keeps_nobody_else_waiting(
    spec: EndpointSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: list[float], inline: list[bool]
) -> None:
    served, _ = asking(spec, tmp_path)
    inside: list[bool] = []
    respond = Served.respond_all

    def watched(self: Served, asked: Sequence[Asked]) -> list[Response | Exception]:
        inside.append(threading.current_thread() is threading.main_thread())
        return respond(self, asked)

    monkeypatch.setattr(Served, "respond_all", watched)
    # each batch takes as long as it is told to, by the clock that it is measured by
    ticking = iter([moment for seconds in took for moment in (0.0, seconds)])
    monkeypatch.setattr(gathering, "time", SimpleNamespace(perf_counter=lambda: next(ticking)))

    async def one_after_the_other() -> None:
        gathered = Gathering(lambda _: None)
        for _ in took:
            await gathered.respond(served, body("UA1"), None)

    asyncio.run(one_after_the_other())
    assert inside == inline
