"""A container as a stand-in runs one: a process of the platform's code that sees nothing of its caller's files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import ml_platform
from ml_platform.jobs import openmp
from ml_platform.testing import confined

_LOG = "container.log"
# Which kernels the linear algebra takes, whatever the processor is.
_ARITHMETIC = ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")


@dataclass(frozen=True)
class Container:
    """A process in a group of its own. folder: all that it may write, and its home. log: what it has printed."""

    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    @classmethod
    def start(
        cls, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path | None = None
    ) -> Self:
        """The container runs.

        command: a module and its arguments. environment: what the service sets; nothing else of the caller's is there
        but where the code is. folder: made where it is missing. log: in the folder, where none is given.
        """
        folder.mkdir(parents=True, exist_ok=True)
        own = {"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
        # It computes as this machine is told to, or models would differ from those made here in their last digit.
        own |= {name: os.environ[name] for name in _ARITHMETIC if name in os.environ}
        # The image has OpenMP; this machine may not.
        own |= openmp.environment(folder / "lib")
        log = log or folder / _LOG
        with log.open("ab") as printed:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", confined.__name__, str(folder), *command],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**own, "PYTHONPATH": _search_path(folder), **environment},
                start_new_session=True,
            )
        return cls(process, folder, log)

    @property
    def pid(self) -> int:
        """Its process id, and its group's."""
        return self.process.pid

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.poll()

    def stop(self, grace_seconds: float = 10.0) -> None:
        """Nothing of its group runs: it was told to end, and made to after the grace."""
        if self.poll() is None:
            self._send(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_seconds)
        self._send(signal.SIGKILL)
        self.process.wait()

    def kill(self) -> None:
        """Nothing of its group runs, and nothing was told before."""
        self._send(signal.SIGKILL)
        self.process.wait()

    def output(self) -> str:
        """What it has printed so far, both streams."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _send(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return


def _search_path(folder: Path) -> str:
    """Where the container's programs find the platform: by links, for they may not list the folder that it is in."""
    root, code = Path(ml_platform.__file__).parent.parent, folder / "code"
    code.mkdir(exist_ok=True)
    for package in ("ml_platform", "resources"):
        if not (code / package).exists():
            (code / package).symlink_to(root / package)
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(root)]
    return os.pathsep.join([str(code), *others])
