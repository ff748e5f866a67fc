"""The embedded job runner: local child processes, each under a supervisor that records how it ended."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import ml_platform
from ml_platform.errors import NotFoundError, PlatformError, ServiceError
from ml_platform.jobs import openmp, supervisor
from ml_platform.records.job import JobEvent, JobSpec, JobStatus
from ml_platform.roles.job_runner import JobRunner

_POLL_SECONDS = 0.05
_STATE = "state"
_START_SECONDS = 60.0


class EmbeddedJobRunner:
    """Runs programs of `ml_platform.jobs` on this machine; a job outlives the process that submitted it.

    home: folder of the jobs' state, one folder a job: spec.json, status.json, events.jsonl, stderr.log, output/, and
        state/, which a job that is started anew finds as it left it.
    stages: whether tables are sent along as files, for a lakehouse that lends its credentials to nobody's jobs.
    """

    def __init__(self, home: str, stages: bool = False) -> None:
        self.stages = stages
        # Its jobs run in this very environment.
        self.image = ""
        self._home = Path(home).absolute()

    def submit(self, spec: JobSpec) -> str:
        """The id of the job that runs the spec; one of that name that runs it, or ran it with success, is attached to.

        A failed or cancelled job is started anew; so is one whose spec has changed, which is cancelled if it runs.
        """
        job_id = _job_id(spec.name)
        content = _content(spec)
        with self._locked(job_id):
            folder = self._home / job_id
            if self._stands(folder, content):
                return job_id
            if (folder / "status.json").exists():
                self.cancel(job_id)
            self._clear(folder, content)
            (folder / "spec.json").write_text(content, encoding="utf-8")
            self._start(folder, spec)
        return job_id

    def find(self, spec: JobSpec) -> str | None:
        """As the role promises."""
        job_id = _job_id(spec.name)
        with self._locked(job_id):
            return job_id if self._stands(self._home / job_id, _content(spec)) else None

    def status(self, job_id: str) -> JobStatus:
        """How the job stands, worked out from what its supervisor recorded and whether it still lives."""
        record = self._record(job_id)
        if record["state"] == "running" and not supervisor.alive(record["pid"], record["started"]):
            # It may have ended between the two looks.
            record = self._record(job_id)
            if record["state"] == "running":
                record = {
                    "state": "failed",
                    "reason": "the job ended without a word: it was killed, or the machine was",
                }
        return JobStatus(job_id, record["state"], record.get("reason", ""))

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """What the job says, followed until it has ended; a last line that was cut off by its death is left out."""
        self._record(job_id)
        with (self._home / job_id / "events.jsonl").open(encoding="utf-8") as lines:
            unfinished = ""
            while True:
                ended = self.status(job_id).state != "running"
                for line in lines:
                    unfinished += line
                    if unfinished.endswith("\n"):
                        yield _event(unfinished)
                        unfinished = ""
                if ended:
                    return
                time.sleep(_POLL_SECONDS)

    def cancel(self, job_id: str) -> None:
        """No process of the job's group lives afterwards; a job that has ended already keeps its state."""
        record = self._record(job_id)
        if self.status(job_id).state == "running":
            supervisor.record(self._home / job_id, {**record, "state": "cancelled"})
        if record["state"] == "running":
            supervisor.end_group(record["pid"], record["started"])

    def result(self, job_id: str, into: Path) -> Path:
        """The folder `into`, made or empty before, holding a copy of what the program wrote."""
        status = self.status(job_id)
        if status.state != "succeeded":
            raise ServiceError(
                f"job {job_id} is {status.state}, but only a succeeded job has a result",
                allowed=f"It said: {status.reason}" if status.reason else "",
            )
        if into.exists() and any(into.iterdir()):
            raise PlatformError(f"folder {into} holds files already, but a result is put into a new or an empty one")
        shutil.copytree(self._home / job_id / "output", into, dirs_exist_ok=True)
        return into

    def _stands(self, folder: Path, content: str) -> bool:
        """Whether the folder's job does, or did, what the content of its spec says."""
        if not (folder / "status.json").exists() or (folder / "spec.json").read_text(encoding="utf-8") != content:
            return False
        return self.status(folder.name).state in ("pending", "running", "succeeded")

    def _clear(self, folder: Path, content: str) -> None:
        """The folder is as for a new job; what a job of this very content had done is kept for it to go on with."""
        same = (folder / "spec.json").exists() and (folder / "spec.json").read_text(encoding="utf-8") == content
        for path in folder.iterdir() if folder.exists() else ():
            if path.is_dir() and not (same and path.name == _STATE):
                shutil.rmtree(path, ignore_errors=True)
            elif not path.is_dir():
                path.unlink()
        folder.mkdir(parents=True, exist_ok=True)

    def _start(self, folder: Path, spec: JobSpec) -> None:
        program = [sys.executable, "-P", "-m", f"ml_platform.jobs.{spec.program}"]
        files = [
            "--spec",
            str(folder / "spec.json"),
            "--output",
            str(folder / "output"),
            "--state",
            str(folder / _STATE),
        ]
        command = [sys.executable, "-P", "-m", supervisor.__name__, str(folder), *program, *files]
        log = (os.POSIX_SPAWN_OPEN, 2, str(folder / "stderr.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
        # posix_spawn, for nobody waits here: the job may outlive this process, and a Popen would complain of that.
        environment = _environment(spec, self._home / "lib")
        pid = os.posix_spawn(sys.executable, command, environment, file_actions=[*quiet, log], setsid=True)
        deadline = time.monotonic() + _START_SECONDS
        while not (folder / "status.json").exists():
            if os.waitpid(pid, os.WNOHANG)[0] == pid or time.monotonic() > deadline:
                said = supervisor.last_line(folder / "stderr.log")
                raise ServiceError(f"job {spec.name} is submitted, but its supervisor did not start ({said})")
            time.sleep(_POLL_SECONDS / 5)

    def _record(self, job_id: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads((self._home / job_id / "status.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotFoundError(f"job {job_id} is asked for, but there is none in {self._home}") from error
        return record

    @contextmanager
    def _locked(self, job_id: str) -> Iterator[None]:
        """One submission of a name at a time, across processes."""
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / f"{job_id}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _job_id(name: str) -> str:
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _content(spec: JobSpec) -> str:
    return json.dumps(asdict(spec), indent=1)


def _environment(spec: JobSpec, libraries: Path) -> dict[str, str]:
    # From a bare checkout nothing is installed, so the child is told where this process found the code.
    root = str(Path(ml_platform.__file__).parent.parent)
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    threads = str(max(1, int(spec.needs.cpu)))
    # Threads that spin while they wait made a fit on shared cores seven times as expensive.
    threading = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, "PYTHONPATH": path, **threading, **openmp.environment(libraries)}


def _event(line: str) -> JobEvent:
    said = json.loads(line)
    return JobEvent(datetime.fromisoformat(said["time"]), said["kind"], said["text"], said["value"])


_: type[JobRunner] = EmbeddedJobRunner
