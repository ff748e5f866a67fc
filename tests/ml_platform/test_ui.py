from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from ml_platform import ui

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until(true: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/server_info").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def served(tmp_path: Path, scratch_home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The UI, answering, as another process serves it."""
    port, dagster_home = free_port(), tmp_path / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    serve = f"import sys; from ml_platform.ui import serve; sys.exit(serve('127.0.0.1', {port}))"
    process = subprocess.Popen(
        [sys.executable, "-c", serve],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(dagster_home)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: answers(port))
        yield process, port
    finally:
        ui.stop()
        process.wait(timeout=60)


def children() -> set[int]:
    """The processes of the UI's group."""
    group = psutil.Process(int(json.loads((ui.home() / "ui.json").read_text())["pid"])).pid
    return {p.pid for p in psutil.process_iter() if p.status() != psutil.STATUS_ZOMBIE and os.getpgid(p.pid) == group}


def test_stop_ends_the_ui_and_everything_that_it_started(served: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = served
    members = children()

    assert ui.stop()

    process.wait(timeout=60)
    assert len(members) > 2
    assert not answers(port)
    until(lambda: not any(psutil.pid_exists(p) and psutil.Process(p).status() != "zombie" for p in members), 20)
    assert not ui.stop()


def test_a_terminated_ui_leaves_nothing_running(served: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = served

    process.send_signal(signal.SIGTERM)

    process.wait(timeout=60)
    assert not answers(port)
    assert not (ui.home() / "ui.json").exists()


def test_a_process_that_took_over_the_id_is_left_alone(scratch_home: Path) -> None:
    scratch_home.mkdir(parents=True)
    (scratch_home / "ui.json").write_text(f'{{"pid": {os.getpid()}, "started": 1.0}}')

    assert not ui.stop()
