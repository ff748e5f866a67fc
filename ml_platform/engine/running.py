"""Running a job to its end: submitted or attached to, listened to, cancelled when its caller is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ml_platform.engine import spending
from ml_platform.errors import RefusedError, ServiceError, TransientServiceError
from ml_platform.records.job import JobEvent, JobSpec, JobStatus
from ml_platform.roles.job_runner import JobRunner

# How often a job is looked for whose submission was interrupted, a second apart: the service may be at it still.
_LOOKS = 4
_BAR = 20  # characters of a progress bar


def run(runner: JobRunner, spec: JobSpec, say: Callable[[str], None], into: Path) -> Path:
    """The folder `into` with what the job wrote.

    say: told the job's id before anything is waited for, then what the job logs.
    Raises ServiceError with the job's own reason unless it succeeds. An interrupted caller leaves no job running. One
    that cannot hear the job, for an outage or for credentials that have ended, leaves it to the next, and says so.
    """
    spending.require_affordable(spec, runner)
    job_id = ""
    try:
        job_id = runner.submit(spec)
        status = _listened(runner, spec, job_id, say)
    except (TransientServiceError, RefusedError) as error:
        if not job_id:
            raise
        raise _left(spec, job_id, error) from error
    except BaseException as error:
        _cancel(runner, spec, job_id, error)
        raise
    spending.charge(runner, job_id, say)
    if status.state != "succeeded":
        raise ServiceError(
            f"the {spec.program} job {job_id} is {status.state}, but its result is needed: {status.reason}"
        )
    return runner.result(job_id, into)


def _listened(runner: JobRunner, spec: JobSpec, job_id: str, say: Callable[[str], None]) -> JobStatus:
    """How the job has ended; all that it said was said."""
    say(f"{spec.program} job {job_id}")
    for event in runner.events(job_id):
        say(_line(event))
    return runner.status(job_id)


def _left(spec: JobSpec, job_id: str, error: ServiceError) -> ServiceError:
    kind = TransientServiceError if isinstance(error, TransientServiceError) else RefusedError
    return kind(
        f"the {spec.program} job {job_id} goes on, but it cannot be heard now: {error}",
        remedy="Run again once that has passed: the next run attaches to it",
    )


def _cancel(runner: JobRunner, spec: JobSpec, job_id: str, cause: BaseException) -> None:
    """No job of the spec runs, or the cause tells which may. job_id: empty where submitting did not come to an end."""
    try:
        job_id = job_id or _submitted(runner, spec, cause)
        if job_id:
            spending.charge_later(runner, job_id)
            runner.cancel(job_id)
    except Exception as error:
        # The cause is what a person has to see.
        cause.add_note(f"The {spec.program} job {job_id or spec.name} may go on, for cancelling it failed: {error}")


def _submitted(runner: JobRunner, spec: JobSpec, cause: BaseException) -> str:
    """The job that an interrupted submission has started; empty where there is none.

    A submission that was not interrupted, but failed, has started nothing that would be another's to end.
    """
    for look in range(0 if isinstance(cause, Exception) else _LOOKS):
        if look:
            time.sleep(1)
        if found := runner.find(spec):
            return found
    return ""


def _line(event: JobEvent) -> str:
    if event.value is None:
        return event.text
    if event.kind == "progress":
        done = round(_BAR * min(max(event.value, 0.0), 1.0))
        return f"{'█' * done}{'░' * (_BAR - done)} {event.value:4.0%}  {event.text}"
    return f"{event.text} = {event.value:g}"
