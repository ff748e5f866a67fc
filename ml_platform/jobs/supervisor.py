"""The supervisor of one local job: it leads the job's process group, stamps its events and records its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psutil

_GRACE_SECONDS = 5.0
# The time at which a process started is reckoned from the clock, which may be set right by a little in between.
_CLOCK_SECONDS = 2.0


def supervise(folder: Path, command: list[str]) -> None:
    """The command has run; `status.json` says how it ended, `events.jsonl` what it said, and when."""
    me = psutil.Process()
    (folder / "events.jsonl").touch()
    mine = {"state": "running", "pid": me.pid, "started": me.create_time()}
    record(folder, mine)
    with (
        (folder / "events.jsonl").open("a", encoding="utf-8") as events,
        (folder / "stderr.log").open("a", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8") as child,
    ):
        if child.stdout is not None:
            _stamp(child.stdout, events)
    record(folder, {**mine, **ending(child.returncode, folder / "stderr.log")})


def record(folder: Path, status: dict[str, Any]) -> None:
    """`status.json` holds the status; a reader sees the old one or the new one, whole."""
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as draft:
        json.dump(status, draft)
    Path(draft.name).rename(folder / "status.json")


def alive(pid: int, started: float) -> bool:
    """Whether that very process runs; another one that was given the same number later does not count."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            _reap(pid)
            return False
        return abs(process.create_time() - started) < _CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False


def end_group(leader: int, started: float) -> None:
    """No process of the leader's group lives: it was asked to end, and after five seconds made to."""
    members = _group(leader, started)
    for process in members:
        _send(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(members, timeout=_GRACE_SECONDS)
    for process in {*stubborn, *_group(leader, started)}:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=_GRACE_SECONDS)
    _reap(leader)


def last_line(path: Path) -> str:
    """The last line of a log that is not blank; empty where there is none."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def said(line: str) -> dict[str, Any]:
    """The event that the line is; a line that is none, from some library, is a line of the log."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict) and event.get("kind") in ("log", "metric", "progress"):
        return {"kind": event["kind"], "text": str(event.get("text", "")), "value": event.get("value")}
    return {"kind": "log", "text": line, "value": None}


def ending(code: int, errors: Path) -> dict[str, Any]:
    """How a program ended: its state, the reason where it failed, and its exit code. errors: its standard error."""
    if code == 0:
        return {"state": "succeeded", "reason": "", "exit_code": 0}
    words = last_line(errors)
    if code < 0:
        words = f"the program was ended by {signal.Signals(-code).name}. {words}".strip()
    return {"state": "failed", "reason": words or f"the program ended with exit code {code}", "exit_code": code}


def _group(leader: int, started: float) -> list[psutil.Process]:
    """The living members of the group, its leader first; one that is older than the leader is not of the job."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.create_time() > started - _CLOCK_SECONDS:
                members.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    # Were the leader not the first to be told, it could see its program end and record that as a failure.
    return sorted(members, key=lambda process: process.pid != leader)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # another process started it, and it is that one's to reap


def _stamp(lines: IO[str], events: IO[str]) -> None:
    for line in lines:
        time = datetime.now(UTC).isoformat()
        events.write(json.dumps({"time": time, **said(line.rstrip("\n"))}) + "\n")
        events.flush()


if __name__ == "__main__":
    supervise(Path(sys.argv[1]), sys.argv[2:])
