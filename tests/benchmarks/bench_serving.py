"""The benchmark of serving: one row over loopback, by our server with its log and by what else would serve that model.

The model has the shape of the flights champion: three categories, 28 numbers, boosted trees. Beside our server, with
and without look-ups of eight views, stand bare FastAPI around the same booster, and `mlflow models serve` and MLServer
on the very package that our registry keeps, its signature and all; each is a process with one OpenMP thread. They are
asked in turn, round after round, so that a busy machine slows all of them, by a client that costs next to nothing.
Latencies are of one client, requests a second of eight, `cpu_ms` is what one request took of a processor. MLServer
moves pins that we share, so it has an environment of its own, which is made when it is missing.
"""

from __future__ import annotations

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from kept import ROOT, keep

from ml_platform.engine.estimators.gradient_boosting import GradientBoostingEstimator
from ml_platform.engine.package import INPUT_EXAMPLE, Feature, ModelCard, read_card, write_card
from ml_platform.jobs.serving.wire import encode
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.records.feature import FeatureView
from resources.mlflow.packages import _as_mlflow_model

GOALS = {"ours_to_bare": 1.5, "mlflow_to_ours": 10.0, "mlserver_to_ours": 10.0, "looked_up_p50_ms": 3.0}
ROUNDS, REQUESTS, CLIENTS, SECONDS, ROWS = 5, 200, 8, 1.5, 20_000
THROUGHPUT = "requests_a_second"
CATEGORIES = {"carrier": 16, "origin": 3, "dest": 103}
NUMBERS = tuple(f"n{number}" for number in range(28))
VIEWS = tuple(NUMBERS[at : at + 4] for at in range(0, len(NUMBERS), 4))
VALUES = {name: tuple(f"{name}{code}" for code in range(count)) for name, count in CATEGORIES.items()}
FEATURES = (
    *(Feature(name, "category", values) for name, values in VALUES.items()),
    *(Feature(name, "number") for name in NUMBERS),
)
ROW: Mapping[str, Any] = {**{name: values[1] for name, values in VALUES.items()}, **dict.fromkeys(NUMBERS, 0.5)}
AT = datetime(2013, 12, 30, 21, tzinfo=UTC)
MLSERVER = ("mlserver==1.7.1", "mlserver-mlflow==1.7.1")
SHARED = ("mlflow", "lightgbm", "numpy", "pandas", "scikit-learn")

BARE = """
import json, sys
import lightgbm, numpy, uvicorn
from fastapi import FastAPI
booster = lightgbm.Booster(model_file=sys.argv[1])
codes = {name: {value: code for code, value in enumerate(of)} for name, of in json.loads(sys.argv[3]).items()}
numbers = json.loads(sys.argv[4])
app = FastAPI()

@app.post("/predict")
def predict(row: dict):
    values = [*(codes[name][row[name]] for name in codes), *(row[name] for name in numbers)]
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
        package = packaged(Path(scratch) / "fitted")
        servers = [stack.enter_context(serve) for serve in started(Path(scratch), package)]
        found = measured(servers)
    compared = {figure: ratios(found, figure) for figure in ("p50_ms", "p10_ms", "cpu_ms", THROUGHPUT)}
    keep("serving", {"goals": GOALS, "views_looked_up": len(VIEWS) + 1, "ratios": compared, **found})


def ratios(found: Mapping[str, Mapping[str, float]], figure: str) -> dict[str, float]:
    """What the goals are of, by one figure: by the tenth percentile a machine that others use disturbs it least.

    Of requests a second, by how long one takes then.
    """
    takes = -1 if figure == THROUGHPUT else 1
    ours, bare, mlflow, mlserver = (
        found[name][figure] ** takes for name in ("ours", "bare_fastapi", "mlflow_models_serve", "mlserver")
    )
    return {
        "ours_to_bare": round(ours / bare, 2),
        "mlflow_to_ours": round(mlflow / ours, 1),
        "mlserver_to_ours": round(mlserver / ours, 1),
        "looked_up": found["ours_looked_up"][figure],
    }


def packaged(folder: Path) -> Path:
    """A package of a boosted model of three categories and 28 numbers, as a fit of ours makes it."""
    import lightgbm

    draw = np.random.default_rng(1)
    codes = [draw.integers(0, count, ROWS) for count in CATEGORIES.values()]
    matrix = np.column_stack([*codes, draw.normal(size=(ROWS, len(NUMBERS)))]).astype(float)
    label = (matrix[:, 3:].sum(axis=1) + (matrix[:, 0] == 2) + draw.normal(size=ROWS) > 0).astype(float)
    data = lightgbm.Dataset(matrix, label, categorical_feature=[*range(len(CATEGORIES))])
    settings = {"objective": "binary", "num_leaves": 31, "num_threads": 1, "verbose": -1}
    booster = lightgbm.train(settings, data, num_boost_round=200)
    folder.mkdir()
    versions = {name: version(name) for name in ("lightgbm", "numpy", "scikit-learn")}
    card = ModelCard("binary", "gradient_boosting", "late", FEATURES, parameters={}, seed=1, versions=versions)
    write_card(folder, card)
    (folder / INPUT_EXAMPLE).write_text(json.dumps({name: [value] for name, value in ROW.items()}))
    GradientBoostingEstimator(booster, FEATURES).save(folder)
    return folder


def started(scratch: Path, package: Path) -> Iterator[Any]:
    """Each server, as a context in which it runs."""
    port, own = free_port(), (sys.executable, "-m")
    bare = [
        sys.executable,
        "-c",
        BARE,
        str(package / "booster.txt"),
        str(port),
        json.dumps(VALUES),
        json.dumps(NUMBERS),
    ]
    yield running("bare_fastapi", port, bare, post("/predict", ROW))
    for name, looked_up in (("ours", False), ("ours_looked_up", True)):
        spec, port, path = endpoint(scratch / name, package, looked_up=looked_up), free_port(), scratch / f"{name}.json"
        path.write_text(json.dumps({**encode(spec, 1), "port": port, "token": "bench"}))
        asked = {"flight_id": "F7", **({} if looked_up else ROW)}
        body = {"inputs": [tensor(name, value) for name, value in {**asked, "event_time": AT.isoformat()}.items()]}
        command = [*own, "ml_platform.jobs.serve", "--spec", str(path)]
        yield running(name, port, command, post("/v2/models/late/infer", body))
    model, port = _as_mlflow_model(package, read_card(package), scratch), free_port()
    options = ["--env-manager", "local", "--workers", "1", "-p", str(port)]
    frame = {"dataframe_split": {"columns": [*ROW], "data": [[*ROW.values()]]}}
    command = [*own, "mlflow", "models", "serve", "-m", str(model), *options]
    yield running("mlflow_models_serve", port, command, post("/invocations", frame))
    port = free_port()
    command = [mlserver_python(), "-m", "mlserver.cli.main", "start", str(mlserver_folder(scratch, model, port))]
    body = {"parameters": {"content_type": "pd"}, "inputs": [tensor(name, value) for name, value in ROW.items()]}
    yield running("mlserver", port, command, post("/v2/models/late/infer", body))


def mlserver_folder(scratch: Path, model: Path, port: int) -> Path:
    """What MLServer starts from."""
    folder = scratch / "mlserver"
    folder.mkdir()
    own = {"name": "late", "implementation": "mlserver_mlflow.MLflowRuntime", "parameters": {"uri": str(model)}}
    (folder / "model-settings.json").write_text(json.dumps(own))
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports}
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


def mlserver_python() -> str:
    """The interpreter of MLServer's own environment, with the libraries of ours that the model needs."""
    home = ROOT / ".venv-mlserver"
    if not (home / "bin" / "mlserver").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pins = [*MLSERVER, *(f"{name}=={version(name)}" for name in SHARED)]
        subprocess.run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", *pins], check=True)
    return str(home / "bin" / "python")


def endpoint(folder: Path, package: Path, *, looked_up: bool) -> EndpointSpec:
    """The endpoint; where it looks up, each number has a view of its own, of twenty thousand flights."""
    store = {"path": str(folder / "features.sqlite")}
    folder.mkdir()
    views = [FeatureView(f"view_{names[0]}", ("flight_id",), names, ttl_hours=48) for names in VIEWS]
    plan = FeatureView("plan", ("flight_id",), tuple(CATEGORIES), ttl_hours=48)
    if looked_up:
        publish(store["path"], [plan, *views])
    request = {
        "flight_id": "string",
        **({} if looked_up else {**dict.fromkeys(CATEGORIES, "string"), **dict.fromkeys(NUMBERS, "number")}),
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
        numbers = pa.array(np.linspace(0, 1, ROWS))
        values = {name: pa.array([ROW[name]] * ROWS) if name in CATEGORIES else numbers for name in view.features}
        table = pa.table({"flight_id": flights, **values, "event_time": at, "known_at": at})
        store.publish(view, table.to_batches(), AT, "1")


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
def running(name: str, port: int, command: Sequence[str], request: bytes) -> Iterator[Server]:
    """The server answers, in a process group of its own, which ends with the context."""
    # MLflow calls uvicorn by name.
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ["PATH"]])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PATH": path}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **quiet)
    try:
        wait(port, request)
        yield Server(name, port, request, process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def free_port() -> int:
    """A port that nothing listened to a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait(port: int, request: bytes) -> None:
    """Returns once the server answers with 200."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if asked(port, request, 1):
                return
        except (OSError, ValueError):
            time.sleep(0.2)
    raise TimeoutError(port)


def asked(port: int, request: bytes, requests: int, until: float = float("inf")) -> list[float]:
    """Seconds of each of the requests, which one client sends one after the other. Raises ValueError for no answer.

    until: the moment, as time.monotonic has it, after which none is sent.
    """
    took = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(took) < requests and time.monotonic() < until:
            started = time.perf_counter()
            connection.sendall(request)
            _read(connection)
            took.append(time.perf_counter() - started)
    return took


def _read(connection: socket.socket) -> None:
    """One whole answer is read. Raises ValueError for one that is not 200."""
    got = connection.recv(65_536)
    while b"\r\n\r\n" not in got:
        more = connection.recv(65_536)
        if not more:
            raise ValueError(got)
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(got)
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    left = int(length.split(b":")[1]) - len(body)
    while left > 0:
        left -= len(connection.recv(65_536))


def throughput(server: Server) -> float:
    """Requests a second that eight clients get answered."""
    started = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        sent = [
            clients.submit(asked, server.port, server.request, 1_000_000, started + SECONDS) for _ in range(CLIENTS)
        ]
        done = sum(len(one.result()) for one in sent)
    return done / (time.monotonic() - started)


def cpu(family: Sequence[Any]) -> float:
    """CPU seconds that the processes have taken."""
    return float(sum(sum(process.cpu_times()[:2]) for process in family))


def measured(servers: Sequence[Server]) -> dict[str, dict[str, float]]:
    """Server → its figures."""
    import psutil

    took: dict[str, list[float]] = {server.name: [] for server in servers}
    spent = dict.fromkeys(took, 0.0)
    families = {
        server.name: [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        for server in servers
    }
    for server in servers:
        asked(server.port, server.request, 50)
    for _ in range(ROUNDS):
        for server in servers:
            before = cpu(families[server.name])
            took[server.name] += asked(server.port, server.request, REQUESTS)
            spent[server.name] += cpu(families[server.name]) - before
    found = {}
    for server in servers:
        cuts = statistics.quantiles(took[server.name], n=100)
        found[server.name] = {
            "p10_ms": round(cuts[9] * 1000, 3),
            "p50_ms": round(cuts[49] * 1000, 3),
            "p99_ms": round(cuts[98] * 1000, 3),
            "cpu_ms": round(spent[server.name] / (ROUNDS * REQUESTS) * 1000, 3),
            "requests_a_second": round(throughput(server)),
            "mb": round(sum(process.memory_info().rss for process in families[server.name]) / 2**20),
        }
    return found


if __name__ == "__main__":
    main()
