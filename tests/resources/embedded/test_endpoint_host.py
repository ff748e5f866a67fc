from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.jobs.serving.wire import encode
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.testing.endpoint_host import (
    EndpointHostContract,
    endpoint_spec,
    infer_request,
    publish_views,
    write_package,
)
from resources.embedded.endpoint_host import EmbeddedEndpointHost
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.prediction_log import EmbeddedPredictionLog

ROOT = Path(__file__).parents[3]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[EmbeddedEndpointHost]:
    host = EmbeddedEndpointHost(str(tmp_path / "endpoints"), "test")
    yield host
    for name in host.endpoints():
        host.retire(name)


@pytest.fixture
def spec(tmp_path: Path) -> EndpointSpec:
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    return endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": str(tmp_path / "log")}),
    )


@pytest.fixture
def successor(spec: EndpointSpec, tmp_path: Path) -> EndpointSpec:
    package = write_package(tmp_path / "successor", rate=0.75)
    return replace(spec, packages={2: str(package)}, split=TrafficSplit({2: 1.0}))


class TestEmbeddedEndpointHost(EndpointHostContract):
    @pytest.fixture
    def host(self, host: EmbeddedEndpointHost) -> EmbeddedEndpointHost:
        return host

    @pytest.fixture
    def spec(self, spec: EndpointSpec) -> EndpointSpec:
        return spec


def state(tmp_path: Path) -> dict[str, object]:
    return json.loads((tmp_path / "endpoints" / "test-arrival_delay" / "state.json").read_text())


def pid(tmp_path: Path) -> int:
    return state(tmp_path)["process"]["pid"]


def kill(process_id: int) -> None:
    os.killpg(process_id, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(process_id)], timeout=10) if psutil.pid_exists(process_id) else None


def answered(url: str, flight: str = "UA1") -> list[float]:
    response = httpx.post(f"{url}/v2/models/arrival_delay/infer", json=infer_request(flight), trust_env=False)
    return response.raise_for_status().json()["outputs"][0]["data"]


def deployed_by_another_process(spec: EndpointSpec, tmp_path: Path, root: Path = ROOT) -> str:
    """The address of the endpoint; the process that deployed it has ended, its output read to the end."""
    program = (
        "import json, sys\n"
        "from ml_platform.jobs.serving.wire import decode\n"
        "from resources.embedded.endpoint_host import EmbeddedEndpointHost\n"
        "spec, _ = decode(json.loads(sys.argv[1]))\n"
        f"print(EmbeddedEndpointHost({str(tmp_path / 'endpoints')!r}, 'test').deploy(spec).url)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, json.dumps(encode(spec, 1))],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return finished.stdout.strip()


def test_endpoint_outlives_its_deployer_and_is_adopted(
    host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path
) -> None:
    url = deployed_by_another_process(spec, tmp_path)
    process_id = pid(tmp_path)
    # then it serves on, and deploying again here finds it
    assert answered(url) == [0.25]
    assert host.deploy(spec).number == 1
    assert pid(tmp_path) == process_id
    assert os.getpgid(process_id) == process_id


def test_endpoint_of_other_code_is_replaced_by_one_of_ours(
    host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path
) -> None:
    # given an endpoint that was deployed before the code changed
    for package in ("ml_platform", "resources", "assets"):
        shutil.copytree(ROOT / package, tmp_path / "old" / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "old" / "ml_platform" / "engine" / "online.py").open("a") as file:
        file.write("\nOLD = True\n")
    url = deployed_by_another_process(spec, tmp_path, tmp_path / "old")
    process_id = pid(tmp_path)

    revision = host.deploy(spec)

    assert revision.number == 2
    assert pid(tmp_path) != process_id
    assert answered(revision.url) == [0.25]
    with pytest.raises(httpx.TransportError):
        answered(url)


def test_swap_keeps_the_process_and_every_request_is_answered(
    host: EmbeddedEndpointHost, spec: EndpointSpec, successor: EndpointSpec, tmp_path: Path
) -> None:
    # given a client that asks without a pause
    url, process_id = host.deploy(spec).url, pid(tmp_path)
    answers: list[float] = []
    enough = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False) as client:
            while not enough.is_set():
                response = client.post(f"{url}/v2/models/arrival_delay/infer", json=infer_request("UA1"))
                answers.extend(response.json()["outputs"][0]["data"] if response.status_code == 200 else [-1.0])

    asking = threading.Thread(target=ask)
    asking.start()
    # when what serves changes under it
    host.deploy(successor)
    time.sleep(0.2)
    enough.set()
    asking.join()
    # then it saw one model, then the other, from one process
    assert answers == sorted(answers)
    assert set(answers) == {0.25, 0.75}
    assert pid(tmp_path) == process_id


def test_traffic_is_split_by_the_flight(
    host: EmbeddedEndpointHost, spec: EndpointSpec, successor: EndpointSpec, tmp_path: Path
) -> None:
    both = replace(spec, packages={**spec.packages, **successor.packages}, split=TrafficSplit({1: 0.5, 2: 0.5}))
    host.deploy(both)
    flights = [f"UA{number}" for number in range(400)]
    answer = host.invoke(spec.name, infer_request(*flights))
    versions = answer["parameters"]["model_versions"]
    # a fair coin is within 4 standard deviations (40) of 200
    assert abs(versions.count(2) - 200) < 40
    assert answer["outputs"][0]["data"] == [{1: 0.25, 2: 0.75}[version] for version in versions]
    assert answer["model_version"] == "1,2"
    assert host.invoke(spec.name, infer_request(*flights))["parameters"]["model_versions"] == versions


def test_killed_endpoint_comes_back_with_its_number_and_counts_on(
    host: EmbeddedEndpointHost, spec: EndpointSpec, successor: EndpointSpec, tmp_path: Path
) -> None:
    host.deploy(spec)
    host.deploy(successor)
    kill(pid(tmp_path))
    assert host.describe(spec.name) is None
    assert host.deploy(successor).number == 2
    kill(pid(tmp_path))
    assert host.deploy(spec).number == 3


def test_caller_may_remove_its_packages(host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path) -> None:
    revision = host.deploy(spec)
    (tmp_path / "package").rename(tmp_path / "elsewhere")
    assert host.describe(spec.name) == revision
    kept = list((tmp_path / "endpoints" / "test-arrival_delay" / "packages").iterdir())
    assert [path.name for path in kept] == [revision.digests[1]]


def test_missing_package_is_named(host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="package of version 2"):
        host.deploy(replace(spec, packages={**spec.packages, 2: str(tmp_path / "gone")}))


def test_port_in_use_is_named_and_nothing_is_left_running(spec: EndpointSpec, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        host = EmbeddedEndpointHost(str(tmp_path / "endpoints"), "test", {"arrival_delay": port})
        with pytest.raises(ServiceError, match=f"port {port} is not free.*endpoint_host.ports"):
            host.deploy(spec)
    assert host.endpoints() == []
    assert host.describe(spec.name) is None


def test_endpoint_moves_to_the_port_that_it_is_given(
    host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path
) -> None:
    before = host.deploy(spec)
    old = pid(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    after = EmbeddedEndpointHost(str(tmp_path / "endpoints"), "test", {"arrival_delay": port}).deploy(spec)
    assert after == replace(before, url=f"http://127.0.0.1:{port}")
    assert not psutil.pid_exists(old) or psutil.Process(old).status() == psutil.STATUS_ZOMBIE


def test_process_that_took_over_the_id_is_left_alone(
    host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path
) -> None:
    # given a state whose server is gone and whose id another program has
    host.deploy(spec)
    path = tmp_path / "endpoints" / "test-arrival_delay" / "state.json"
    stale = state(tmp_path)
    kill(pid(tmp_path))
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    path.write_text(json.dumps({**stale, "process": {**stale["process"], "pid": stranger.pid}}))
    # then it is not described, not adopted and not ended
    try:
        assert host.describe(spec.name) is None
        assert host.deploy(spec).number == 1
        assert pid(tmp_path) != stranger.pid
        host.retire(spec.name)
        path.write_text(json.dumps({**stale, "process": {**stale["process"], "pid": stranger.pid}}))
        host.retire(spec.name)
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


def test_secrets_are_for_the_owner_only(host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path) -> None:
    host.deploy(spec)
    folder = tmp_path / "endpoints" / "test-arrival_delay"
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("state.json", "spec.json")}
    assert modes == {"state.json": 0o600, "spec.json": 0o600}


def test_endpoints_are_those_of_the_environment(host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path) -> None:
    host.deploy(spec)
    assert host.endpoints() == ["arrival_delay"]
    assert EmbeddedEndpointHost(str(tmp_path / "endpoints"), "te").endpoints() == []
    assert EmbeddedEndpointHost(str(tmp_path / "endpoints"), "test-b").endpoints() == []
    host.retire(spec.name)
    assert host.endpoints() == []


def test_kill_loses_no_answer_that_was_given(host: EmbeddedEndpointHost, spec: EndpointSpec, tmp_path: Path) -> None:
    # given clients in the middle of their requests
    url = host.deploy(spec).url
    given: list[str] = []

    def ask() -> None:
        with httpx.Client(trust_env=False) as client:
            while True:
                try:
                    response = client.post(f"{url}/v2/models/arrival_delay/infer", json=infer_request("UA1", "B62"))
                except httpx.TransportError:
                    return
                given.extend(response.json()["parameters"]["request_ids"])

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    time.sleep(0.7)
    # when the server is killed
    kill(pid(tmp_path))
    for client in clients:
        client.join()
    # then every answer stands in the log
    records, _ = EmbeddedPredictionLog(str(tmp_path / "log")).since("arrival_delay", 0, 1_000_000)
    logged = [record.request_id for record in records]
    assert len(given) > 20
    assert set(given) <= set(logged)
    assert len(logged) == len(set(logged))
