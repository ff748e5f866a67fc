"""Stand-ins: control planes on loopback, each a process that ends with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ml_platform
from ml_platform.errors import ServiceError

_END_SECONDS = 10


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
