"""A server that is killed while it answers: which rows it had acknowledged, for whoever looks into its log."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

from ml_platform.engine.estimators.baseline import BaselineEstimator
from ml_platform.engine.package import Feature, ModelCard, write_card
from ml_platform.errors import ServiceError, TransientServiceError
from ml_platform.jobs.serve import listen
from ml_platform.jobs.serving.process import ServerProcess
from ml_platform.jobs.serving.settings import LOOPBACK, ServerSettings
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit

NAME = "killed"
_CLIENTS, _ANSWERS = 6, 60


def acknowledged(log: ServiceBinding, folder: Path) -> list[str]:
    """Ids of the rows that clients had answers to when SIGKILL ended the server, in the midst of further ones.

    log: of the server; its endpoint is `NAME`. folder: for what the server needs.
    """
    with listen(LOOPBACK, 0) as free:
        port = free.getsockname()[1]
    folder.mkdir()
    process = ServerProcess.start(folder, _spec(log, folder / "package"), 1, port, ServerSettings())
    ids: list[str] = []
    enough = Event()
    try:
        process.wait_until_ready(NAME, folder)
        with ThreadPoolExecutor(_CLIENTS) as clients:
            asking = [clients.submit(_ask, process, ids, enough) for _ in range(_CLIENTS)]
            enough.wait(60)
            os.killpg(process.pid, signal.SIGKILL)
            for each in asking:
                each.result()
    finally:
        process.end()
    return ids


def _ask(process: ServerProcess, ids: list[str], enough: Event) -> None:
    """Asks until nobody answers; ids take what was acknowledged."""
    body = {
        "inputs": [
            {"name": "flight_id", "shape": [2], "datatype": "BYTES", "data": ["UA1", "B62"]},
            {"name": "event_time", "shape": [2], "datatype": "BYTES", "data": ["2013-12-30T21:00:00Z"] * 2},
        ]
    }
    while True:
        try:
            status, answer = process.call("POST", f"/v2/models/{NAME}/infer", body)
        except TransientServiceError:
            return
        if status != 200:
            raise ServiceError(f"the answer is {status}, but the server was only to be killed: {answer}")
        ids += _ids(answer)
        if len(ids) >= _ANSWERS:
            enough.set()


def _ids(answer: dict[str, Any]) -> list[str]:
    return list(answer["parameters"]["request_ids"])


def _spec(log: ServiceBinding, package: Path) -> EndpointSpec:
    """An endpoint that looks nothing up."""
    package.mkdir(parents=True)
    features = (Feature("flight_id", "category", ("UA1", "B62")),)
    write_card(package, ModelCard("binary", "baseline", "late", features, parameters={}, seed=1))
    BaselineEstimator(0.25).save(package)
    return EndpointSpec(
        name=NAME,
        packages={1: str(package)},
        split=TrafficSplit({1: 1.0}),
        request={"flight_id": "string"},
        views=(),
        feature_store=ServiceBinding("", "", {}),
        prediction_log=log,
        lookup="caller",
    )
