"""The benchmark of serving: one row over loopback, by our server with its log and by what else would serve that model.

Beside our server, with and without look-ups, stand bare FastAPI around the same booster and `mlflow models serve` on
the same package, each a process with one OpenMP thread; they are asked in turn, round after round, so that a busy
machine slows all of them. Latencies are of one client, requests a second of eight, `cpu_ms` is what one request took of
a processor, which a busy machine does not change; printed against the goals, kept in docs/bench.json. MLServer
moves pins that we share, so that it is not among our requirements: its figures were measured apart, on the same kind
of model (4.8 ms, 191 requests a second).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from kept import ROOT, keep

from ml_platform.engine.estimators.gradient_boosting import GradientBoostingEstimator
from ml_platform.engine.package import Feature, ModelCard, write_card
from ml_platform.jobs.serving.wire import encode
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.records.feature import FeatureView

GOALS = {"ours_to_bare": 1.5, "mlflow_to_ours": 10.0, "looked_up_p50_ms": 3.0}
ROUNDS, REQUESTS, CLIENTS, SECONDS, ROWS, VIEWS = 5, 200, 8, 1.5, 20_000, 8
CARRIERS = ("AA", "B6", "DL", "EV", "UA", "US", "WN")
NUMBERS = tuple(f"n{number}" for number in range(VIEWS))
FEATURES = (Feature("carrier", "category", CARRIERS), *(Feature(name, "number") for name in NUMBERS))
AT = datetime(2013, 12, 30, 21, tzinfo=UTC)

BARE = """
import sys
import lightgbm, numpy, uvicorn
from fastapi import FastAPI
booster = lightgbm.Booster(model_file=sys.argv[1])
codes = {name: code for code, name in enumerate(sys.argv[3].split(","))}
app = FastAPI()

@app.post("/predict")
def predict(row: dict):
    values = [codes[row["carrier"]], *(row[f"n{number}"] for number in range(8))]
    return {"probability": float(booster.predict(numpy.array([values]))[0])}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
"""


@dataclass(frozen=True)
class Server:
    """A server that answers. request: the bytes of the one that it is asked."""

    name: str
    port: int
    request: bytes
    pid: int


def main() -> None:
    """Prints each server's figures against the goals and keeps them."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        package = packaged(Path(scratch) / "package")
        servers = [stack.enter_context(serve) for serve in started(Path(scratch), package)]
        found = asyncio.run(measured(servers))
    compared = {figure: ratios(found, figure) for figure in ("p50_ms", "p10_ms", "cpu_ms")}
    keep("serving", {"goals": GOALS, "views_looked_up": VIEWS, "ratios": compared, **found})


def ratios(found: Mapping[str, Mapping[str, float]], figure: str) -> dict[str, float]:
    """What the goals are of, by one figure: by the tenth percentile a machine that others use disturbs it least."""
    ours, bare, mlflow = (found[name][figure] for name in ("ours", "bare_fastapi", "mlflow_models_serve"))
    looked_up = found["ours_looked_up"][figure]
    return {"ours_to_bare": round(ours / bare, 2), "mlflow_to_ours": round(mlflow / ours, 1), "looked_up": looked_up}


def packaged(folder: Path) -> Path:
    """A package of a boosted model of eight numbers and a carrier, as a fit of ours makes it."""
    import lightgbm

    draw = np.random.default_rng(1)
    matrix = np.column_stack([draw.integers(0, len(CARRIERS), ROWS), draw.normal(size=(ROWS, VIEWS))]).astype(float)
    label = (matrix[:, 1:].sum(axis=1) + (matrix[:, 0] == 2) + draw.normal(size=ROWS) > 0).astype(float)
    data = lightgbm.Dataset(matrix, label, categorical_feature=[0])
    settings = {"objective": "binary", "num_leaves": 31, "num_threads": 1, "verbose": -1}
    booster = lightgbm.train(settings, data, num_boost_round=100)
    folder.mkdir()
    write_card(folder, ModelCard("binary", "gradient_boosting", "late", FEATURES, parameters={}, seed=1))
    GradientBoostingEstimator(booster, FEATURES).save(folder)
    return folder


def started(scratch: Path, package: Path) -> Iterator[Any]:
    """Each server, as a context in which it runs."""
    row: dict[str, Any] = {"carrier": "UA", **dict.fromkeys(NUMBERS, 0.5)}
    bare = ["-c", BARE, str(package / "booster.txt"), "PORT", ",".join(CARRIERS)]
    yield running("bare_fastapi", bare, post("/predict", row))
    for name, looked_up in (("ours", False), ("ours_looked_up", True)):
        spec = endpoint(scratch / name, package, looked_up=looked_up)
        path = scratch / f"{name}.json"
        path.write_text(json.dumps({**encode(spec, 1), "port": 0, "token": "bench"}))
        asked = {"flight_id": "F7", **({} if looked_up else row)}
        tensors = [tensor(name, value) for name, value in {**asked, "event_time": AT.isoformat()}.items()]
        body = {"inputs": tensors}
        yield running(name, ["-m", "ml_platform.jobs.serve", "--spec", str(path)], post("/v2/models/late/infer", body))
    model = saved(scratch / "mlflow", package)
    command = f"-m mlflow models serve -m {model} -p PORT --env-manager local --workers 1"
    frame = {"dataframe_split": {"columns": [*row], "data": [[*row.values()]]}}
    yield running("mlflow_models_serve", command.split(), post("/invocations", frame))


def endpoint(folder: Path, package: Path, *, looked_up: bool) -> EndpointSpec:
    """The endpoint; where it looks up, each number has a view of its own, of twenty thousand flights."""
    store = {"path": str(folder / "features.sqlite")}
    folder.mkdir()
    views = [FeatureView(f"view_{name}", ("flight_id",), (name,), ttl_hours=48) for name in NUMBERS]
    plan = FeatureView("plan", ("flight_id",), ("carrier",), ttl_hours=48)
    if looked_up:
        publish(store["path"], [plan, *views])
    request = {
        "flight_id": "string",
        **({} if looked_up else {"carrier": "string", **dict.fromkeys(NUMBERS, "number")}),
    }
    return EndpointSpec(
        name="late",
        packages={1: str(package)},
        split=TrafficSplit({1: 1.0}),
        request=request,
        views=(plan, *views) if looked_up else (),
        feature_store=ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        prediction_log=ServiceBinding(
            "resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": str(folder / "log")}
        ),
    )


def publish(path: str, views: Sequence[FeatureView]) -> None:
    """The views hold a row for each flight, of the hour before."""
    import pyarrow as pa

    from resources.embedded.feature_store import EmbeddedFeatureStore

    store = EmbeddedFeatureStore(path)
    at = pa.array([AT - timedelta(hours=1)] * ROWS, pa.timestamp("us", "UTC"))
    flights = pa.array([f"F{number}" for number in range(ROWS)])
    for view in views:
        (name,) = view.features
        values = pa.array(["UA"] * ROWS) if name == "carrier" else pa.array(np.linspace(0, 1, ROWS))
        table = pa.table({"flight_id": flights, name: values, "event_time": at, "known_at": at})
        store.publish(view, table.to_batches(), AT, "1")


def saved(folder: Path, package: Path) -> Path:
    """The package as MLflow's generic flavour has it."""
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(str(folder), loader_module="ml_platform.engine.pyfunc", data_path=str(package))
    return folder


def tensor(name: str, value: object) -> dict[str, Any]:
    """The V2 tensor of one value."""
    return {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}


def post(path: str, body: object) -> bytes:
    """The bytes of a request."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@contextmanager
def running(name: str, arguments: Sequence[str], request: bytes) -> Iterator[Server]:
    """The server answers, in a process group of its own, which ends with the context."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, *(str(port) if one == "PORT" else one for one in arguments)]
    for position, one in enumerate(command):
        if one.endswith(".json"):
            spec = json.loads(Path(one).read_text())
            Path(command[position]).write_text(json.dumps({**spec, "port": port}))
    # MLflow calls uvicorn by name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PATH": path}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **quiet)
    try:
        wait(port, request)
        yield Server(name, port, request, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def wait(port: int, request: bytes) -> None:
    """Returns once the server answers with 200."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if asyncio.run(asked(port, request, 1)):
                return
        except (OSError, ValueError):
            time.sleep(0.2)
    raise TimeoutError(port)


async def asked(port: int, request: bytes, requests: int) -> list[float]:
    """Seconds of each of the requests, which one client sends one after the other. Raises ValueError for no answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for _ in range(requests):
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(head)
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        took.append(time.perf_counter() - started)
    writer.close()
    return took


async def throughput(server: Server) -> float:
    """Requests a second that eight clients get answered."""
    deadline = time.monotonic() + SECONDS
    done = 0

    async def client() -> None:
        nonlocal done
        while time.monotonic() < deadline:
            done += len(await asked(server.port, server.request, 20))

    started = time.monotonic()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return done / (time.monotonic() - started)


def cpu(family: Sequence[Any]) -> float:
    """CPU seconds that the processes have taken."""
    return float(sum(sum(process.cpu_times()[:2]) for process in family))


async def measured(servers: Sequence[Server]) -> dict[str, dict[str, float]]:
    """Server → its figures."""
    import psutil

    took: dict[str, list[float]] = {server.name: [] for server in servers}
    spent = dict.fromkeys(took, 0.0)
    families = {
        server.name: [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        for server in servers
    }
    for server in servers:
        await asked(server.port, server.request, 50)
    for _ in range(ROUNDS):
        for server in servers:
            before = cpu(families[server.name])
            took[server.name] += await asked(server.port, server.request, REQUESTS)
            spent[server.name] += cpu(families[server.name]) - before
    found = {}
    for server in servers:
        cuts = statistics.quantiles(took[server.name], n=100)
        family = families[server.name]
        found[server.name] = {
            "p10_ms": round(cuts[9] * 1000, 3),
            "p50_ms": round(cuts[49] * 1000, 3),
            "p99_ms": round(cuts[98] * 1000, 3),
            "cpu_ms": round(spent[server.name] / (ROUNDS * REQUESTS) * 1000, 3),
            "requests_a_second": round(await throughput(server)),
            "mb": round(sum(process.memory_info().rss for process in family) / 2**20),
        }
    return found


if __name__ == "__main__":
    main()
