"""What the folder of an endpoint says: its number, the process that serves it, its packages; one writer at a time."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ml_platform.engine.package import digest
from ml_platform.errors import NotFoundError
from ml_platform.jobs.serving.process import ServerProcess, write_private
from ml_platform.records.endpoint import EndpointSpec


@dataclass(frozen=True)
class State:
    """What stands in `state.json`: the last revision's number, fingerprint and group, the process that serves it."""

    number: int = 0
    fingerprint: str = ""
    process: ServerProcess | None = None
    group: str = ""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One host at a time changes what the folder says and serves."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_state(folder: Path) -> State:
    """What stands there; of a folder where nothing stands, what an endpoint begins with."""
    path = folder / "state.json"
    if not path.exists():
        return State()
    plain = json.loads(path.read_text())
    process = ServerProcess(**plain["process"]) if plain["process"] else None
    return State(plain["number"], plain["fingerprint"], process, plain.get("group", ""))


def write_state(folder: Path, state: State) -> None:
    """It stands there, for its owner alone."""
    write_private(folder / "state.json", asdict(state))


def keep_packages(spec: EndpointSpec, folder: Path) -> tuple[dict[int, str], EndpointSpec]:
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


def keep_only(folder: Path, digests: Container[str]) -> None:
    """Other packages are gone; a server has read its own into memory."""
    for path in (folder / "packages").glob("*"):
        if path.name not in digests:
            shutil.rmtree(path)
