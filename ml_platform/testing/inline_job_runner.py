"""A job runner in the caller's own process, for tests of what uses one: a job has ended when `submit` returns."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ml_platform.errors import NotFoundError, PlatformError, ServiceError
from ml_platform.jobs.contract import JobOrder
from ml_platform.records.job import JobEvent, JobSpec, JobStatus


class InlineJobRunner:
    """Calls a program's function; its output is kept for as long as the runner lives.

    submitted: every spec that was run, in order. fail_with: while it is not empty, jobs fail with that reason.
    cancelled: ids that were asked to be cancelled. stages: tables come along as files.
    """

    def __init__(self, *, stages: bool = False) -> None:
        self.stages = stages
        self.image = ""
        self._home = Path(tempfile.mkdtemp(prefix="jobs-"))
        weakref.finalize(self, shutil.rmtree, self._home, ignore_errors=True)
        self._status: dict[str, JobStatus] = {}
        self.submitted: list[JobSpec] = []
        self.cancelled: list[str] = []
        self.fail_with = ""

    def submit(self, spec: JobSpec) -> str:
        if self._status.get(spec.name, JobStatus(spec.name, "failed")).state != "succeeded":
            self.submitted.append(spec)
            self._status[spec.name] = self._ran(spec)
        return spec.name

    def find(self, spec: JobSpec) -> str | None:
        found = self._status.get(spec.name)
        return spec.name if found and found.state == "succeeded" else None

    def status(self, job_id: str) -> JobStatus:
        if job_id not in self._status:
            raise NotFoundError(f"the job {job_id} is asked for, but was never submitted")
        return self._status[job_id]

    def events(self, job_id: str) -> Iterator[JobEvent]:
        yield JobEvent(datetime.now(UTC), "log", f"{job_id} is {self.status(job_id).state}")

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    def result(self, job_id: str, into: Path) -> Path:
        if self.status(job_id).state != "succeeded":
            raise ServiceError(f"the job {job_id} is {self.status(job_id).state}, but has no result then")
        return Path(shutil.copytree(self._home / job_id, into))

    def _ran(self, spec: JobSpec) -> JobStatus:
        if self.fail_with:
            return JobStatus(spec.name, "failed", self.fail_with)
        program = getattr(importlib.import_module(f"ml_platform.jobs.{spec.program}"), spec.program)
        output = Path(tempfile.mkdtemp(dir=self._home))
        try:
            program(JobOrder(spec.arguments, {name: Path(path) for name, path in spec.folders.items()}), output)
        except PlatformError as error:
            return JobStatus(spec.name, "failed", str(error))
        output.rename(self._home / spec.name)
        return JobStatus(spec.name, "succeeded")
