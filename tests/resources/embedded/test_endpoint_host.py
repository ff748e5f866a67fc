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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from ml_platform.errors import BindingError, NotFoundError, ServiceError, TransientServiceError
from ml_platform.jobs.serving.process import ServerProcess, started_in
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


def state(tmp_path: Path, name: str = "arrival_delay") -> dict[str, object]:
    return json.loads((tmp_path / "endpoints" / f"test-{name}" / "state.json").read_text())


def pid(tmp_path: Path, name: str = "arrival_delay") -> int:
    return state(tmp_path, name)["process"]["pid"]


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.005)


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


def test_ten_swaps_fail_no_request_of_four_clients(
    host: EmbeddedEndpointHost, spec: EndpointSpec, successor: EndpointSpec, tmp_path: Path
) -> None:
    # given four clients that ask without a pause
    url, process_id = host.deploy(spec).url, pid(tmp_path)
    answers: list[list[tuple[int, int]]] = [[], [], [], []]
    enough = threading.Event()

    def ask(mine: list[tuple[int, int]]) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not enough.is_set():
                response = client.post(f"{url}/v2/models/arrival_delay/infer", json=infer_request("UA1"))
                mine.append((response.status_code, response.json()["parameters"]["revision"]))

    with ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(ask, mine) for mine in answers]
        # when what serves changes ten times under them, each time after somebody has seen the last
        for swap in range(10):
            number = host.deploy(successor if swap % 2 == 0 else spec).number
            until(lambda number=number: any(mine and mine[-1][1] == number for mine in answers))
        enough.set()
        for one in asking:
            one.result(30)
    # then every request was answered, by revisions that only went forward, all of them seen, from one process
    assert {status for mine in answers for status, _ in mine} == {200}
    assert all(mine == sorted(mine) for mine in answers)
    assert {number for mine in answers for _, number in mine} >= set(range(2, 12))
    assert pid(tmp_path) == process_id


def test_group_is_one_process_which_lets_go_of_each(
    host: EmbeddedEndpointHost, spec: EndpointSpec, successor: EndpointSpec, tmp_path: Path
) -> None:
    # given two endpoints of a group, and one of none
    first, alone = replace(spec, group="flights"), replace(spec, name="alone")
    second = replace(successor, name="other", group="flights")
    revisions = [host.deploy(one) for one in (first, second, alone)]
    # then the two answer at one address, each for itself
    assert revisions[0].url == revisions[1].url != revisions[2].url
    assert host.invoke("arrival_delay", infer_request("UA1"))["outputs"][0]["data"] == [0.25]
    assert host.invoke("other", infer_request("UA1"))["outputs"][0]["data"] == [0.75]
    assert [host.deploy(one) for one in (first, second)] == revisions[:2]
    # and it costs less memory than the one and the one
    shared, apart = (psutil.Process(one).memory_info().rss for one in (pid(tmp_path), pid(tmp_path, "alone")))
    assert shared < 1.5 * apart
    # when one is changed, retired, or taken out of the group, the other serves on
    assert host.deploy(replace(first, request={"flight_id": "string", "seat": "string"})).number == 2
    assert host.describe("other") == revisions[1]
    host.retire("arrival_delay")
    assert host.describe("other") == revisions[1]
    assert host.deploy(first).url == revisions[0].url
    process_id = pid(tmp_path)
    assert host.deploy(replace(second, group="")).url != revisions[0].url
    assert host.invoke("arrival_delay", infer_request("UA1"))["outputs"][0]["data"] == [0.25]
    host.retire("arrival_delay")
    assert not psutil.pid_exists(process_id) or psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE


def test_token_is_asked_for_where_one_is_told_and_stands_in_no_file(
    spec: EndpointSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "a token that is nobody's business"
    monkeypatch.setenv("SERVING_TOKEN", token)
    host = EmbeddedEndpointHost(str(tmp_path / "endpoints"), "test", bearer="SERVING_TOKEN", max_concurrent=3)
    try:
        url = host.deploy(spec).url
        assert host.invoke(spec.name, infer_request("UA1"))["outputs"][0]["data"] == [0.25]
        assert httpx.get(f"{url}/v2/models/arrival_delay", trust_env=False).status_code == 401
        files = [path for path in (tmp_path / "endpoints").rglob("*") if path.is_file()]
        assert not [path for path in files if token.encode() in path.read_bytes()]
        # a new token, as any other setting, takes a new process
        before = pid(tmp_path)
        monkeypatch.setenv("SERVING_TOKEN", f"{token}, renewed")
        assert host.deploy(spec).number == 1
        assert pid(tmp_path) != before
        assert host.invoke(spec.name, infer_request("UA1"))["model_version"] == "1"
    finally:
        host.retire(spec.name)


def test_rows_of_a_request_are_limited_as_the_host_is_told(spec: EndpointSpec, tmp_path: Path) -> None:
    host = EmbeddedEndpointHost(str(tmp_path / "endpoints"), "test", max_rows=2)
    try:
        host.deploy(spec)
        assert host.invoke(spec.name, infer_request("UA1", "B62"))["outputs"][0]["data"] == [0.25] * 2
        with pytest.raises(ServiceError, match=r"is 400.* has 3 rows, but a request may have 2"):
            host.invoke(spec.name, infer_request("UA1", "B62", "UA1"))
    finally:
        host.retire(spec.name)


@pytest.mark.parametrize(("status", "passes"), [(429, True), (503, True), (400, False), (500, False)])
def test_what_a_full_server_refuses_may_be_asked_again(
    host: EmbeddedEndpointHost, spec: EndpointSpec, monkeypatch: pytest.MonkeyPatch, status: int, passes: bool
) -> None:
    host.deploy(spec)
    with monkeypatch.context() as patched:
        patched.setattr(ServerProcess, "call", lambda *_: (status, {"error": "its words"}))
        with pytest.raises(ServiceError, match=f"is {status}, but not a prediction: its words") as told:
            host.invoke(spec.name, infer_request("UA1"))
    assert isinstance(told.value, TransientServiceError) is passes


def test_address_that_others_reach_is_refused_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(BindingError, match="no token is asked of them"):
        EmbeddedEndpointHost(str(tmp_path), "test", bind="0.0.0.0")  # noqa: S104 # it is refused


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


# Where a deployment that replaces a server ends by SIGKILL: before or behind what it says of the new one, or once that
# is ready.
KILLED = """
import json, os, signal, sys
from ml_platform.jobs.serving.process import ServerProcess
from ml_platform.jobs.serving.wire import decode
from resources.embedded import endpoint_host
home, when, spec = sys.argv[1], sys.argv[2], decode(json.loads(sys.argv[3]))[0]
write, ready, old = endpoint_host.write_state, ServerProcess.wait_until_ready, int(sys.argv[4])

def end():
    os.kill(os.getpid(), signal.SIGKILL)

def written(folder, state):
    new = state.process is not None and state.process.pid != old
    if new and when == "started":
        end()
    write(folder, state)
    if new and when == "named":
        end()

def waited(process, name, folder):
    ready(process, name, folder)
    end()

endpoint_host.write_state = written
if when == "ready":
    ServerProcess.wait_until_ready = waited
endpoint_host.EmbeddedEndpointHost(home, "test", max_concurrent=10).deploy(spec)
"""


def serving_in(tmp_path: Path) -> list[int]:
    """The servers that run for the endpoint, whoever knows of them."""
    return [
        process.pid for process in started_in(tmp_path / "endpoints" / "test-arrival_delay") if process.is_running()
    ]


@pytest.mark.parametrize("when", ["started", "named", "ready"])
@pytest.mark.parametrize("then", ["deploy", "retire"])
def test_deployment_that_is_killed_while_it_replaces_a_server_leaves_none_behind(
    host: EmbeddedEndpointHost, spec: EndpointSpec, successor: EndpointSpec, tmp_path: Path, when: str, then: str
) -> None:
    # given an endpoint, and a run that is killed on the way to another server for it
    host.deploy(spec)
    given = [str(tmp_path / "endpoints"), when, json.dumps(encode(successor, 1)), str(pid(tmp_path))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", KILLED, *given], cwd=ROOT, env=environment, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(serving_in(tmp_path)) == 2
    # when the run comes again, or the endpoint is retired
    again = EmbeddedEndpointHost(str(tmp_path / "endpoints"), "test", max_concurrent=10)
    if then == "retire":
        again.retire(spec.name)
        assert serving_in(tmp_path) == []
        return
    revision = again.deploy(successor)
    # then one server runs, which is the one that serves
    assert (revision.number, answered(revision.url)) == (2, [0.75])
    assert serving_in(tmp_path) == [pid(tmp_path)]


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
    modes = {path.name[:5]: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.json")}
    assert modes == {"state": 0o600, "spec-": 0o600}


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
