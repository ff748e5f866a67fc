from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ml_platform.errors import ServiceError, TransientServiceError
from ml_platform.jobs.serve import listen
from ml_platform.jobs.serving.process import ServerProcess
from ml_platform.jobs.serving.settings import ServerSettings
from ml_platform.records.endpoint import EndpointSpec
from ml_platform.testing.endpoint_host import infer_request


def free_port() -> int:
    with listen("127.0.0.1", 0) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def process(spec: EndpointSpec, tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess.start(tmp_path, spec, number=7, port=free_port(), settings=ServerSettings())
    yield process
    process.end()


def test_server_runs_apart_until_it_is_ended(
    process: ServerProcess, spec: EndpointSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an environment whose proxy would take every call elsewhere
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    process.wait_until_ready(spec.name, tmp_path)
    # then it is found, alone in its group, and holds no file of ours
    assert process.is_running()
    assert os.getpgid(process.pid) == process.pid
    answer = process.revision(spec.name)
    assert answer is not None
    assert answer["number"] == 7
    assert psutil.Process(process.pid).environ().get("PYTHONPATH", "").startswith(str(Path(__file__).parents[4]))
    held = {os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)}
    assert held == {"/dev/null", str(tmp_path / "server.log")}
    # and control is for who has the token
    assert replace(process, token="wrong").revision(spec.name) is None
    # and it goes with the last endpoint that it is let go of
    process.release("other")
    assert process.is_running()
    process.release(spec.name)
    process.release(spec.name)
    process.end()
    assert not process.is_running()
    assert process.revision(spec.name) is None
    with pytest.raises(TransientServiceError, match="does not answer"):
        process.call("POST", f"/v2/models/{spec.name}/infer", infer_request("UA1"))


def test_another_process_is_not_taken_for_the_server() -> None:
    own = psutil.Process()
    assert not ServerProcess(own.pid, own.create_time(), 1, "token").is_running()
    assert not ServerProcess(own.pid, own.create_time() - 60, 1, "token").is_running()


def test_server_that_does_not_come_up_is_told_in_its_last_words(spec: EndpointSpec, tmp_path: Path) -> None:
    broken = ServerProcess.start(
        tmp_path, replace(spec, packages={}), number=1, port=free_port(), settings=ServerSettings()
    )
    with pytest.raises(ServiceError, match=r"endpoint arrival_delay is not serving.*server\.log"):
        broken.wait_until_ready(spec.name, tmp_path)
    assert not broken.is_running()
