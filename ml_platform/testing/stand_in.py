"""Stand-ins: control planes on loopback, each a process that ends with whoever started it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ml_platform
from ml_platform.engine import loopback
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location
from ml_platform.testing import faults
from ml_platform.testing.faults import Fault

_END_SECONDS = 10


@dataclass(frozen=True)
class Cloud:
    """A vendor's stand-ins, running together.

    environment: variables by which a profile's services find them; credentials in it are nobody's.
    inject: makes a fault come so many times from now on. secrets: what none of it may show or keep.
    stores: everything that they keep, for whoever looks through it.
    """

    environment: Mapping[str, str]
    inject: Callable[[Fault, int], None]
    secrets: tuple[str, ...] = ()
    stores: tuple[Location, ...] = ()


@contextmanager
def running(module: str, *arguments: str) -> Iterator[str]:
    """The address that the module's program serves on; the program and its children have ended afterwards.

    module: run as a program of its own, for delta-rs holds the interpreter's lock while it waits for some answers. It
    prints its address as one line, and calls `end_with_caller`. Raises ServiceError where it does not come up.
    """
    root = str(Path(ml_platform.__file__).parent.parent)
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    program = subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        address = program.stdout.readline().strip() if program.stdout else ""
        if not address:
            raise ServiceError(f"the stand-in {module} ended at once, but something wants to talk to it")
        yield address
    finally:
        _end(program)


def serve(app: Any) -> None:
    """The ASGI application is served at a free port of loopback, which is printed, until the caller has ended."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1))
    listening = socket.create_server(("127.0.0.1", 0))

    def end() -> None:
        server.should_exit = True

    end_with_caller(end)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    server.run(sockets=[listening])


def injector(address: str, store: str) -> Callable[[Fault, int], None]:
    """What tells the control plane at that address, or the object store at that one, to have a fault."""

    def inject(fault: Fault, times: int) -> None:
        asked = store if fault.startswith("store_") else address
        loopback.request("PUT", f"{asked}{faults.PATH}/{fault}/{times}").raise_for_status()

    return inject


def run_command(cloud: AbstractContextManager[Cloud], profile: str, command: Sequence[str]) -> int:
    """The exit code of the command, run by that profile on the cloud's stand-ins, which forget everything afterwards.

    command: a program and its arguments; programs of this Python's environment come first. What services keep on this
    machine is as short-lived as the stand-ins: in a home that goes with them.
    """
    with cloud as running_cloud, TemporaryDirectory() as home:
        dagster_home = Path(home) / "dagster"
        dagster_home.mkdir()
        own = {"ML_PLATFORM_HOME": home, "DAGSTER_HOME": str(dagster_home), "ML_PLATFORM_PROFILE": profile}
        settings = Path(os.environ.get("DAGSTER_HOME", ""), "dagster.yaml")
        if settings.is_file():
            shutil.copy(settings, dagster_home)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        environment = {**os.environ, **running_cloud.environment, **own, "PATH": path}
        program = shutil.which(command[0], path=path) or command[0]
        return subprocess.run([program, *command[1:]], env=environment, check=False).returncode


def end_with_caller(end: Callable[[], None]) -> None:
    """`end` is called, in a thread of its own, once the process that started this one has let go of it or died."""

    def watch() -> None:
        sys.stdin.read()
        end()

    threading.Thread(target=watch, daemon=True).start()


def _end(program: subprocess.Popen[str]) -> None:
    try:
        program.communicate(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
