"""The Dagster UI as a process of ours: in a group of its own, known by id, ended whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from ml_platform.binding import home

_STATE = "ui.json"
_GRACE_SECONDS = 15


def serve(host: str, port: int) -> int:
    """The exit code of `dagster dev`, which runs until it ends, is interrupted, or `stop` ends it.

    Its daemons and code servers share its process group, so that none outlives it.
    """
    program = str(Path(sys.executable).parent / "dagster")
    arguments = ["dev", "--workspace", "workspace.yaml", "--host", host, "--port", str(port)]
    child = subprocess.Popen([program, *arguments], start_new_session=True)
    state = home() / _STATE
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text(json.dumps({"pid": child.pid, "started": psutil.Process(child.pid).create_time()}))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _end(child.pid))
    try:
        return child.wait()
    finally:
        _end(child.pid)
        state.unlink(missing_ok=True)


def stop() -> bool:
    """Whether a UI of this home was running; none is afterwards. A process that took over its id is left alone."""
    state = home() / _STATE
    if not state.exists():
        return False
    known = json.loads(state.read_text())
    running = False
    with contextlib.suppress(psutil.NoSuchProcess):
        running = psutil.Process(known["pid"]).create_time() == known["started"]
    if running:
        _end(known["pid"])
    state.unlink(missing_ok=True)
    return running


def _end(group: int) -> None:
    """No process of the group runs afterwards: asked to end first, killed when it does not."""
    members = [process for process in psutil.process_iter() if _in_group(process, group)]
    if not members:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
    _, left = psutil.wait_procs(members, timeout=_GRACE_SECONDS)
    if left:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        psutil.wait_procs(left, timeout=_GRACE_SECONDS)


def _in_group(process: psutil.Process, group: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return os.getpgid(process.pid) == group
    return False
