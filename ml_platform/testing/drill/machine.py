"""Drills about the machine: a writer that is killed before it commits, a disk that is full."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ml_platform.testing.drill.outcome import Outcome
from ml_platform.testing.drill.world import World, at_once
from ml_platform.testing.drill.writer import WAITING

SOURCE = "bronze/orders"
_MONTH = "2024-03"
_SECONDS = 90
_MANY = 2_000


def killed_writer(world: World) -> Outcome:
    """SIGKILL where rows are written and not committed."""
    version, before = world.project.version(SOURCE), world.count(SOURCE)
    world.land("killed.csv", _orders("killed", 5))
    said = world.folder / "writer.txt"
    writer = _writer(world, "killed", said)
    try:
        _until_waiting(writer, said)
    finally:
        os.killpg(writer.pid, signal.SIGKILL)
        writer.wait()
    stood = (world.project.version(SOURCE), world.count(SOURCE)) == (version, before)
    outcome = world.run(f'key:"{SOURCE}" or key:"silver/orders"', f"{_MONTH}...{_MONTH}").said[SOURCE]["outcome"]
    return Outcome(
        "the commit: staged rows count for nothing",
        stood and writer.returncode == -signal.SIGKILL and outcome.startswith("5 rows added"),
        f"{SOURCE}: outcome of the next run",
        outcome,
        {
            f"version {version} was readable after the kill": stood,
            "the next run has all 5 rows, once": world.count(SOURCE) == before + 5 and world.orders_once(SOURCE),
        },
    )


def full_disk(world: World) -> Outcome:
    """No file may grow above 20,000 bytes (RLIMIT_FSIZE) while more than that lands."""
    version, before = world.project.version(SOURCE), world.count(SOURCE)
    world.land("many.csv", _orders("many", _MANY))
    said = world.folder / "full.json"
    writer = _writer(world, "full", said)
    writer.wait(timeout=_SECONDS)
    failure = str(json.loads(said.read_text()).get(SOURCE, ""))
    stood = (world.project.version(SOURCE), world.count(SOURCE)) == (version, before)
    world.run(f'key:"{SOURCE}" or key:"silver/orders"', f"{_MONTH}...{_MONTH}")
    return Outcome(
        "the writer: a table's new version is whole or is not",
        "but there is no room for it" in failure,
        f"{SOURCE}: the run's failure",
        failure,
        {
            f"version {version} stood": stood,
            f"with room, all {_MANY:,} rows came, once": world.count(SOURCE) == before + _MANY
            and world.orders_once(SOURCE),
        },
    )


def _orders(name: str, count: int) -> str:
    """So many orders of March, of ids that no compression makes small."""
    ids = [hashlib.sha256(f"{name} {number}".encode()).hexdigest() for number in range(count)]
    moment = "2024-03-30T06:00:00Z,2024-03-30T07:00:00Z"
    return at_once([f"{one},north,2024-03-30,{number % 100}.0,false,{moment}" for number, one in enumerate(ids)])


def _writer(world: World, how: str, said: Path) -> subprocess.Popen[bytes]:
    project = world.project
    arguments = [str(project.root), str(world.folder / "home"), SOURCE, _MONTH, how, str(said)]
    command = [sys.executable, "-P", "-m", "ml_platform.testing.drill.writer", *arguments]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _until_waiting(writer: subprocess.Popen[bytes], said: Path) -> None:
    until = time.monotonic() + _SECONDS
    while not (said.exists() and said.read_text() == WAITING):
        if writer.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the writer was to wait before its commit, but it ended with {writer.returncode}")
        time.sleep(0.02)
