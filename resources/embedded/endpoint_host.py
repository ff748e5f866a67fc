"""An endpoint host that runs one server process an endpoint, or a group of endpoints, on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.errors import NotFoundError, ServiceError, TransientServiceError
from ml_platform.jobs.serve import listen
from ml_platform.jobs.serving.process import ServerProcess, started_in
from ml_platform.jobs.serving.settings import LOOPBACK, ServerSettings
from ml_platform.jobs.serving.wire import fingerprint, program
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit
from resources.embedded.host_state import State, keep_only, keep_packages, locked, read_state, write_state

if TYPE_CHECKING:
    from ml_platform.roles.endpoint_host import EndpointHost

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class EmbeddedEndpointHost:
    """Servers that speak V2; each endpoint has its packages, its log and its state in `home/<prefix>-<name>`.

    Endpoints of one group share a server, so that Python and its libraries are in memory once for all of them; when it
    dies, each comes back as it is deployed again.
    prefix: the environment's. ports: endpoint or group → its port; one that is not there gets a free one.
    bind: the address of this machine that servers listen at; bearer: the environment variable, here and where requests
    come from, that holds the token which they show; without one none is asked for, and only loopback is bound to.
    max_concurrent, max_body_bytes, max_rows: what a server takes at once, and of one request.
    """

    def __init__(
        self,
        home: str,
        prefix: str,
        ports: Mapping[str, int] | None = None,
        bind: str = LOOPBACK,
        bearer: str = "",
        max_concurrent: int = 64,
        max_body_bytes: int = 4 * 1024 * 1024,
        max_rows: int = 10_000,
    ) -> None:
        self._home = Path(home).absolute()
        self._prefix = prefix
        self._ports = dict(ports or {})
        self._settings = ServerSettings(bind, bearer, max_concurrent, max_body_bytes, max_rows)
        self._settings.check()

    def deploy(self, spec: EndpointSpec) -> Revision:
        """As the role promises. Raises ServiceError naming the port where it is in use."""
        folder = self._folder(spec.name)
        with locked(self._home / f"{self._prefix}--{spec.group or spec.name}"), locked(folder):
            digests, spec = keep_packages(spec, folder)
            last, running = _last(folder, spec.name)
            wanted = fingerprint(spec, digests)
            # Written before anything changes, so that a number that was served is never given again.
            state = replace(last, number=last.number + (wanted != last.fingerprint), fingerprint=wanted)
            write_state(folder, state)
            try:
                process = self._serve(spec, replace(state, group=spec.group), last, running)
            except BaseException:
                write_state(folder, last)
                raise
            write_state(folder, replace(state, process=process, group=spec.group))
            revision = _read_back(spec.name, process, state, digests)
            self._clear(spec.name, process)
            keep_only(folder, digests.values())
            return revision

    def describe(self, name: str) -> Revision | None:
        """As the role promises."""
        process = read_state(self._folder(name)).process
        answer = process.revision(name) if process else None
        return _revision(process, answer) if process and answer else None

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the role promises. Raises TransientServiceError where the endpoint cannot answer just now."""
        process = read_state(self._folder(name)).process
        if process is None or not process.is_running():
            raise NotFoundError(
                f"endpoint {name} is not served, but a request was made to it",
                remedy=f"Materialize endpoints/{name}",
            )
        status, answer = process.call("POST", f"/v2/models/{name}/infer", request, self._settings.token)
        if status != 200:
            # Of a server that is full, too, the same is answered in a moment.
            kind = TransientServiceError if status in (429, 503) else ServiceError
            raise kind(f"the answer of endpoint {name} is {status}, but not a prediction: {answer['error']}")
        return answer

    def retire(self, name: str) -> None:
        """As the role promises; when it is deployed again, its revisions are numbered on from here."""
        folder = self._folder(name)
        if not folder.exists():
            return
        with locked(folder):
            state = read_state(folder)
            if state.process:
                state.process.release(name)
            write_state(folder, replace(state, process=None))
            self._clear(name, None)
            keep_only(folder, ())

    def endpoints(self) -> Sequence[str]:
        """The endpoints of this environment that were deployed and not retired, sorted."""
        names = (path.parent.name.removeprefix(f"{self._prefix}-") for path in self._home.glob("*/state.json"))
        # What is left of another environment's folder has a dash in it, which no name has.
        return sorted(name for name in names if _NAME.fullmatch(name) and read_state(self._folder(name)).process)

    def _serve(self, spec: EndpointSpec, state: State, last: State, running: Mapping[str, Any] | None) -> ServerProcess:
        """The process that serves the spec: one that runs as it should, changed where it must be, or a new one.

        One that runs other code, or otherwise than it is to, serves on until the new one does; only where both are to
        have one fixed port, it ends first.
        """
        old = last.process
        for process, said in self._candidates(spec, last, running):
            if self._suits(spec, process, said):
                if process != old or said["fingerprint"] != state.fingerprint or not running:
                    process.change(spec, state.number)
                break
        else:
            if old and self._port(spec) == old.port:
                old.end()
            if self._port(spec):
                self._end_strays(spec.name)
            process = self._start(spec, state)
        if old and old != process:
            old.release(spec.name)
        return process

    def _clear(self, name: str, kept: ServerProcess | None) -> None:
        """Only the kept process serves the endpoint: a deployment that was killed may have left another."""
        for other in self._processes() - {kept}:
            if other.revision(name) is not None:
                other.release(name)
        self._end_strays(name)

    def _end_strays(self, name: str) -> None:
        """Servers that were started for the endpoint, and that no endpoint's state names, have ended."""
        known = {process.pid for process in self._processes()}
        for stray in started_in(self._folder(name)):
            if stray.pid not in known:
                stray.end()

    def _processes(self) -> set[ServerProcess]:
        """What serves any endpoint of this environment, by its state."""
        every = (read_state(self._folder(name)).process for name in self.endpoints())
        return {process for process in every if process}

    def _candidates(
        self, spec: EndpointSpec, last: State, running: Mapping[str, Any] | None
    ) -> Iterator[tuple[ServerProcess, Mapping[str, Any]]]:
        """The processes that may serve the spec, and what each says of an endpoint that it serves."""
        if last.process and running and last.group == spec.group:
            yield last.process, running
        for name in self.endpoints() if spec.group else ():
            other = read_state(self._folder(name))
            if name != spec.name and other.group == spec.group and other.process:
                said = other.process.revision(name)
                if said:
                    yield other.process, said

    def _suits(self, spec: EndpointSpec, process: ServerProcess, said: Mapping[str, Any]) -> bool:
        return (
            self._port(spec) in (0, process.port)
            and said["program"] == program()
            and said["settings"] == self._settings.told
        )

    def _port(self, spec: EndpointSpec) -> int:
        """The port that it is to have; 0 where any will do."""
        return self._ports.get(spec.group or spec.name, 0)

    def _start(self, spec: EndpointSpec, state: State) -> ServerProcess:
        folder = self._folder(spec.name)
        with listen(self._settings.bind, self._port(spec)) as free:
            port = free.getsockname()[1]
        process = ServerProcess.start(folder, spec, state.number, port, self._settings)
        try:
            write_state(folder, replace(state, process=process))
            process.wait_until_ready(spec.name, folder)
        except BaseException:
            process.end()
            raise
        return process

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ServiceError(
                f"the endpoint is {name!r}, but its name becomes a folder's",
                allowed="A name is lower-case letters, digits and _ and opens with a letter",
            )
        return self._home / f"{self._prefix}-{name}"


def _last(folder: Path, name: str) -> tuple[State, Mapping[str, Any] | None]:
    """What was served last, and the answer of the server where one runs; its word counts for more than the file's."""
    state = read_state(folder)
    running = state.process.revision(name) if state.process else None
    if running:
        state = replace(state, number=running["number"], fingerprint=running["fingerprint"])
    return state, running


def _read_back(name: str, process: ServerProcess, state: State, digests: Mapping[int, str]) -> Revision:
    """What the process serves. Raises ServiceError where that is not what was asked for."""
    answer = process.revision(name)
    found = _revision(process, answer) if answer else None
    if answer is None or found is None or answer["fingerprint"] != state.fingerprint or found.digests != digests:
        raise ServiceError(
            f"revision {state.number} was deployed to {process.url}, but it serves {found}",
            remedy="Deploy again",
        )
    return found


def _revision(process: ServerProcess, answer: Mapping[str, Any]) -> Revision:
    return Revision(
        endpoint=answer["endpoint"],
        number=answer["number"],
        split=TrafficSplit({int(version): share for version, share in answer["split"].items()}),
        digests={int(version): value for version, value in answer["digests"].items()},
        url=process.url,
        ready=True,
        shadow=answer.get("shadow"),
    )


if TYPE_CHECKING:
    _: type[EndpointHost] = EmbeddedEndpointHost
