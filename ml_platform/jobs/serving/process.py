"""A server process on this machine: how a host starts one, recognises it, talks to it and ends it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psutil

import ml_platform
from ml_platform.engine import loopback
from ml_platform.errors import ServiceError, TransientServiceError
from ml_platform.jobs import openmp
from ml_platform.jobs.serving.settings import LOOPBACK, ServerSettings
from ml_platform.jobs.serving.wire import encode
from ml_platform.records.endpoint import EndpointSpec

_PROGRAM = "ml_platform.jobs.serve"
_CONTROL = "/control/models"
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 # what is bound to, of which we reach loopback
_START_SECONDS = 90.0
_END_SECONDS = 15.0
_CALL_SECONDS = 60.0
_POLL_SECONDS = 0.05


class _Child(subprocess.Popen[bytes]):
    """A child that goes on when we end, which `Popen` would complain of."""

    def __del__(self) -> None:
        pass


# Kept so that a server that ends before us is reaped.
_children: dict[int, _Child] = {}


@dataclass(frozen=True)
class ServerProcess:
    """A process that runs `ml_platform.jobs.serve`, in a process group of its own; it outlives whoever started it.

    started_at: seconds since 1970, so that another process with its id is not taken for it.
    token: what its control asks for. address: where we reach it.
    """

    pid: int
    started_at: float
    port: int
    token: str
    address: str = LOOPBACK

    @classmethod
    def start(cls, folder: Path, spec: EndpointSpec, number: int, port: int, settings: ServerSettings) -> Self:
        """A new process that is to serve the spec; the folder has what it is started with, `spec-….json`, and its log.

        One that was started before and has not read its own yet ends: it would come up beside this one.
        """
        token = secrets.token_urlsafe(32)
        server = {"port": port, "token": token, **asdict(settings)}
        for older in folder.glob("spec*.json"):
            older.unlink()
        given = folder / f"spec-{secrets.token_hex(8)}.json"
        write_private(given, {**encode(spec, number), **server})
        with (folder / "server.log").open("wb") as log:
            child = _Child(
                [sys.executable, "-m", _PROGRAM, "--spec", given.name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": _search_path(), **openmp.environment(folder / "lib")},
                start_new_session=True,
            )
        _children[child.pid] = child
        address = LOOPBACK if settings.bind in _EVERYWHERE else settings.bind
        return cls(child.pid, psutil.Process(child.pid).create_time(), port, token, address)

    @property
    def url(self) -> str:
        """The base address that requests go to."""
        return f"http://{self.address}:{self.port}"

    def is_running(self) -> bool:
        """Whether this very process still runs."""
        if self.pid in _children:
            _children[self.pid].poll()
        try:
            found = psutil.Process(self.pid)
            # A start time moves by up to a second when the clock is set, so that it is not proof enough by itself.
            same = abs(found.create_time() - self.started_at) <= 1
            return same and found.status() != psutil.STATUS_ZOMBIE and _is_server(found.cmdline())
        except psutil.Error:
            return False

    def revision(self, name: str) -> dict[str, Any] | None:
        """What it says that it serves under the name; None where it does not, does not run or does not answer."""
        if not self.is_running():
            return None
        try:
            status, answer = self.call("GET", f"{_CONTROL}/{name}")
        except TransientServiceError:
            return None
        return answer if status == 200 else None

    def change(self, spec: EndpointSpec, number: int) -> None:
        """It serves the spec. Raises ServiceError with its own words where it does not; it serves on as before then."""
        status, answer = self.call("PUT", f"{_CONTROL}/{spec.name}", encode(spec, number))
        if status != 200:
            raise ServiceError(f"endpoint {spec.name} stays as it was, but was to change: {answer['error']}")

    def release(self, name: str) -> None:
        """It does not serve the endpoint; it has ended where that was the last, or where it does not say."""
        if not self.is_running():
            return
        try:
            status, answer = self.call("DELETE", f"{_CONTROL}/{name}")
        except TransientServiceError:
            status, answer = 503, {}
        if status != 200 or not answer["endpoints"]:
            self.end()

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, token: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of its answer. Raises TransientServiceError where none comes. token: shown where one is."""
        import httpx

        shown = self.token if path.startswith("/control/") else token
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        try:
            answer = loopback.request(method, self.url + path, json=body, headers=headers, timeout=_CALL_SECONDS)
        except httpx.TransportError as error:
            raise TransientServiceError(
                f"{self.url}{path} does not answer ({type(error).__name__}), but its server should be up",
                remedy="Try again; if it goes on, deploy the endpoint again",
            ) from error
        return answer.status_code, answer.json()

    def wait_until_ready(self, name: str, folder: Path) -> None:
        """Returns when it serves. Raises ServiceError with its last words where it ends first, or takes too long."""
        if (
            _wait(lambda: self.revision(name) is not None or not self.is_running(), _START_SECONDS)
            and self.is_running()
        ):
            return
        log = folder / "server.log"
        said = log.read_text(errors="replace").strip().splitlines()
        raise ServiceError(
            f"endpoint {name} is not serving, but was to come up: {said[-1] if said else 'its server said nothing'}",
            remedy=f"Its whole log is {log}",
        )

    def end(self) -> None:
        """It does not run, nor does anything in its group; it may answer what it has begun first."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_running():
                return
            with suppress(ProcessLookupError):
                os.killpg(self.pid, how)
            _wait(lambda: not self.is_running(), _END_SECONDS)


def started_in(folder: Path) -> list[ServerProcess]:
    """The servers that run in the folder, whoever knows of them: one that was killed may not have said so.

    They can be ended; to talk to them takes a port and a token, which they do not have here.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if _PROGRAM in process.cmdline() and Path(process.cwd()) == folder.resolve():
                found.append(ServerProcess(process.pid, process.create_time(), 0, ""))
    return found


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """The file holds the content as JSON, all of it or what it held before; only its owner can read it."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    draft.replace(path)


def _is_server(arguments: list[str]) -> bool:
    # The kernel shows no arguments in the instant in which a program takes its place in a new process.
    return _PROGRAM in arguments or not arguments


def _search_path() -> str:
    """A PYTHONPATH by which the server finds the platform and its services, from a bare checkout too."""
    root = str(Path(ml_platform.__file__).parents[1])
    return os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))


def _wait(until: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
