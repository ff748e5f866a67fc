"""The contract of a job's program: `--spec` in, JSON lines out, a folder that appears whole or not at all."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ml_platform.errors import DeclarationError, PlatformError, nearest


@dataclass(frozen=True)
class JobOrder:
    """What a program was asked to do.

    arguments: the program's own. folders: name → local folder with files that it reads.
    state: a folder of the job's own, which is there again when it was killed and is started anew; None without one.
    """

    arguments: Mapping[str, Any]
    folders: Mapping[str, Path]
    state: Path | None = None

    def checked(self, required: Mapping[str, type], optional: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, those left out at their default. Raises DeclarationError for any absent, unknown or mistyped.

        required: name → type. optional: name → default, whose type a given value must have.
        """
        types = {**required, **{name: type(default) for name, default in optional.items()}}
        for name, value in self.arguments.items():
            if name not in types:
                raise DeclarationError(f"argument {name} is given, but the job has none", allowed=nearest(name, types))
            if not isinstance(value, types[name]):
                raise DeclarationError(f"argument {name} is {value!r}, but it is of type {types[name].__name__}")
        absent = sorted(required.keys() - self.arguments.keys())
        if absent:
            raise DeclarationError(f"argument {absent[0]} is absent, but the job needs {', '.join(sorted(required))}")
        return {**optional, **self.arguments}

    def table(self, given: Mapping[str, Any], optional: Mapping[str, Any]) -> dict[str, Any]:
        """A table's address, by `uri`, and its version; one that came along with the job is given by its `folder`.

        optional: what else may be given → its default.
        """
        address = dict(given)
        if "folder" in address:
            address["uri"] = str(self.folder(str(address.pop("folder"))))
        known = {"storage_options": {}, **optional}
        return JobOrder(address, {}).checked({"uri": str, "version": int}, known)

    def folder(self, name: str) -> Path:
        """The local folder of that name. Raises DeclarationError where the order has none."""
        if name not in self.folders:
            raise DeclarationError(
                f"folder {name} is asked for, but was not sent with the job", allowed=nearest(name, self.folders)
            )
        return self.folders[name]


def emit(kind: Literal["log", "metric", "progress"], text: str, value: float | None = None) -> None:
    """One event as one JSON line on standard output, at once."""
    print(json.dumps({"kind": kind, "text": text, "value": value}), flush=True)


def run(work: Callable[[JobOrder, Path], None]) -> int:
    """The exit code of a program: 0 with its output in place, 1 with the error's text as the last line of stderr.

    work: writes its files into the folder given to it; they become the output only once it has returned.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", type=Path, required=True, help="JSON file with the job's arguments and folders")
    parser.add_argument("--output", type=Path, required=True, help="folder that is made; it must not exist")
    parser.add_argument("--state", type=Path, help="folder in which the job finds what it had done when it was killed")
    given = parser.parse_args()
    try:
        _produce(work, replace(_order(given.spec), state=given.state), given.output)
    except PlatformError as error:
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)
        return 1
    return 0


def _order(spec: Path) -> JobOrder:
    try:
        content = json.loads(spec.read_text(encoding="utf-8"))
        folders = {name: Path(path) for name, path in content.get("folders", {}).items()}
        return JobOrder(content["arguments"], folders)
    except (OSError, ValueError, KeyError) as error:
        raise DeclarationError(
            f"spec {spec} is not readable, but must be JSON with arguments and folders ({error!r})"
        ) from error


def _produce(work: Callable[[JobOrder, Path], None], order: JobOrder, output: Path) -> None:
    if output.exists():
        raise PlatformError(f"output {output} exists already, but a job writes a new folder", remedy="Name another")
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        work(order, unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(output)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
