"""Running a job to its end: submitted or attached to, listened to, cancelled when its caller is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ml_platform.errors import ServiceError
from ml_platform.records.job import JobEvent, JobSpec
from ml_platform.roles.job_runner import JobRunner


def run(runner: JobRunner, spec: JobSpec, say: Callable[[str], None], into: Path) -> Path:
    """The folder `into` with what the job wrote.

    say: told the job's id before anything is waited for, then what the job logs.
    Raises ServiceError with the job's own reason unless it succeeds; an interrupted caller leaves no job running.
    """
    job_id = runner.submit(spec)
    try:
        say(f"{spec.program} job {job_id}")
        for event in runner.events(job_id):
            say(_line(event))
        status = runner.status(job_id)
    except BaseException:
        runner.cancel(job_id)
        raise
    if status.state != "succeeded":
        raise ServiceError(
            f"the {spec.program} job {job_id} is {status.state}, but its result is needed: {status.reason}"
        )
    return runner.result(job_id, into)


def _line(event: JobEvent) -> str:
    if event.value is None:
        return event.text
    return f"{event.text} ({event.value:.0%})" if event.kind == "progress" else f"{event.text} = {event.value:g}"
