"""An endpoint host that runs one server process an endpoint on this machine."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.engine.package import digest
from ml_platform.errors import NotFoundError, ServiceError, TransientServiceError
from ml_platform.jobs.serve import listen
from ml_platform.jobs.serving.process import HOST, ServerProcess, write_private
from ml_platform.jobs.serving.wire import fingerprint, program
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit

if TYPE_CHECKING:
    from ml_platform.roles.endpoint_host import EndpointHost

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class _State:
    """What stands in `state.json`: the last revision's number and fingerprint, and the process that serves it."""

    number: int = 0
    fingerprint: str = ""
    process: ServerProcess | None = None


class EmbeddedEndpointHost:
    """Servers that speak V2 on loopback; each has its packages, its log and its state in `home/<prefix>-<name>`.

    prefix: the environment's. ports: endpoint → its port; an endpoint that is not there gets a free one.
    """

    def __init__(self, home: str, prefix: str, ports: Mapping[str, int] | None = None) -> None:
        self._home = Path(home).absolute()
        self._prefix = prefix
        self._ports = dict(ports or {})

    def deploy(self, spec: EndpointSpec) -> Revision:
        """As the role promises. Raises ServiceError naming the port where it is in use."""
        folder = self._folder(spec.name)
        with _locked(folder):
            digests, spec = _keep_packages(spec, folder)
            last, running = _last(folder)
            wanted = fingerprint(spec, digests)
            # Written before anything changes, so that a number that was served is never given again.
            state = replace(last, number=last.number + (wanted != last.fingerprint), fingerprint=wanted)
            _write_state(folder, state)
            try:
                process = self._serve(spec, state, running)
            except BaseException:
                _write_state(folder, last)
                raise
            _write_state(folder, replace(state, process=process))
            revision = _read_back(process, state, digests)
            _keep_only(folder, digests.values())
            return revision

    def describe(self, name: str) -> Revision | None:
        """As the role promises."""
        process = _read_state(self._folder(name)).process
        answer = process.revision() if process else None
        return _revision(process, answer) if process and answer else None

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the role promises. Raises TransientServiceError where the endpoint cannot answer just now."""
        process = _read_state(self._folder(name)).process
        if process is None or not process.is_running():
            raise NotFoundError(
                f"endpoint {name} is not served, but a request was made to it",
                remedy=f"Materialize endpoints/{name}",
            )
        status, answer = process.call("POST", f"/v2/models/{name}/infer", request)
        if status != 200:
            kind = TransientServiceError if status == 503 else ServiceError
            raise kind(f"the answer of endpoint {name} is {status}, but not a prediction: {answer['error']}")
        return answer

    def retire(self, name: str) -> None:
        """As the role promises; when it is deployed again, its revisions are numbered on from here."""
        folder = self._folder(name)
        if not folder.exists():
            return
        with _locked(folder):
            state = _read_state(folder)
            if state.process:
                state.process.end()
            _write_state(folder, replace(state, process=None))
            _keep_only(folder, ())

    def endpoints(self) -> Sequence[str]:
        """The endpoints of this environment that were deployed and not retired, sorted."""
        names = (path.parent.name.removeprefix(f"{self._prefix}-") for path in self._home.glob("*/state.json"))
        # What is left of another environment's folder has a dash in it, which no name has.
        return sorted(name for name in names if _NAME.fullmatch(name) and _read_state(self._folder(name)).process)

    def _serve(self, spec: EndpointSpec, state: _State, running: Mapping[str, Any] | None) -> ServerProcess:
        """The process that serves the spec: the one that runs, changed where it must be, or a new one.

        One that runs other code, or on another port than it is to, serves on until the new one does; only where both
        are to have one fixed port, it ends first.
        """
        old = state.process
        stays = old is not None and self._ports.get(spec.name, old.port) == old.port
        if old and running and stays and running.get("program") == program():
            if running["fingerprint"] != state.fingerprint:
                old.change(spec, state.number)
            return old
        if old and (not running or self._ports.get(spec.name) == old.port):
            old.end()
        process = self._start(spec, state)
        if old:
            old.end()
        return process

    def _start(self, spec: EndpointSpec, state: _State) -> ServerProcess:
        folder = self._folder(spec.name)
        with listen(HOST, self._ports.get(spec.name, 0)) as free:
            port = free.getsockname()[1]
        process = ServerProcess.start(folder, spec, state.number, port)
        try:
            _write_state(folder, replace(state, process=process))
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


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One host at a time changes what the folder says and serves."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_state(folder: Path) -> _State:
    path = folder / "state.json"
    if not path.exists():
        return _State()
    plain = json.loads(path.read_text())
    process = ServerProcess(**plain["process"]) if plain["process"] else None
    return _State(plain["number"], plain["fingerprint"], process)


def _write_state(folder: Path, state: _State) -> None:
    write_private(folder / "state.json", asdict(state))


def _last(folder: Path) -> tuple[_State, Mapping[str, Any] | None]:
    """What was served last, and the answer of the server where one runs; its word counts for more than the file's."""
    state = _read_state(folder)
    running = state.process.revision() if state.process else None
    if running:
        state = replace(state, number=running["number"], fingerprint=running["fingerprint"])
    return state, running


def _keep_packages(spec: EndpointSpec, folder: Path) -> tuple[dict[int, str], EndpointSpec]:
    """Version → digest, and the spec with the folder's own copies of its packages: the caller's may go away."""
    digests, kept = {}, {}
    for version, given in spec.packages.items():
        source = Path(given)
        if not source.is_dir():
            raise NotFoundError(f"the package of version {version} is to be at {source}, but there is no such folder")
        digests[version] = digest(source)
        kept[version] = str(_keep_package(source, folder / "packages" / digests[version]))
    return digests, replace(spec, packages=kept)


def _keep_package(source: Path, target: Path) -> Path:
    if target.exists() and digest(target) == target.name:
        return target
    draft = target.with_suffix(".draft")
    for left_over in (draft, target):
        if left_over.exists():
            shutil.rmtree(left_over)
    shutil.copytree(source, draft)
    return draft.rename(target)


def _keep_only(folder: Path, digests: Container[str]) -> None:
    """Other packages are gone; a server has read its own into memory."""
    for path in (folder / "packages").glob("*"):
        if path.name not in digests:
            shutil.rmtree(path)


def _read_back(process: ServerProcess, state: _State, digests: Mapping[int, str]) -> Revision:
    """What the process serves. Raises ServiceError where that is not what was asked for."""
    answer = process.revision()
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
