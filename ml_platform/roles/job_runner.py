"""The job runner: the service that runs the programs of `ml_platform.jobs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ml_platform.records.job import JobEvent, JobSpec, JobStatus


class JobRunner(Protocol):
    """Runs one program to its end, somewhere; the caller can leave and come back by the job's id."""

    @property
    def stages(self) -> bool:
        """Whether tables have to be sent along as files, because its jobs cannot reach the lakehouse."""
        ...

    @property
    def image(self) -> str:
        """The container image that its jobs run in, `<repository>@<digest>` where it is pinned; empty without one."""
        ...

    def submit(self, spec: JobSpec) -> str:
        """The id of the job that runs the spec; a pending, running or succeeded job of that name is attached to."""
        ...

    def find(self, spec: JobSpec) -> str | None:
        """The id of the job that `submit` would attach to, a submission that was cut off included; None without one."""
        ...

    def status(self, job_id: str) -> JobStatus:
        """How the job stands now. Raises NotFoundError for an id that the service does not know."""
        ...

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """What the job says, from its beginning, as it is said; ends when the job has ended."""
        ...

    def cancel(self, job_id: str) -> None:
        """The job and its children have ended afterwards; a job that has ended already is left as it is."""
        ...

    def result(self, job_id: str, into: Path) -> Path:
        """The folder `into` holding what the program wrote. Raises ServiceError unless the job has succeeded."""
        ...
