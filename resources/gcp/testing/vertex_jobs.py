"""Custom jobs: each runs its container, through the states that the service has."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from google.cloud import aiplatform_v1
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from ml_platform.testing.container import Container
from ml_platform.testing.faults import Faults
from resources.gcp.testing.vertex_containers import Containers
from resources.gcp.testing.vertex_error import VertexError
from resources.gcp.testing.vertex_resources import check, check_machine, copied, found, now, page

_State = aiplatform_v1.JobState
_ENDED = {_State.JOB_STATE_SUCCEEDED, _State.JOB_STATE_FAILED, _State.JOB_STATE_CANCELLED}
_STEP_SECONDS = 0.05
_GRACE_SECONDS = 10.0
_WEEK_SECONDS = 7 * 24 * 3600


class CustomJobs:
    """The jobs of every project and location."""

    def __init__(self, containers: Containers, faults: Faults) -> None:
        self._containers = containers
        self._faults = faults
        self._jobs: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancelled: set[str] = set()
        self._numbers = itertools.count(1000)

    async def create_custom_job(self, request: Any) -> Message:
        """The job, queued."""
        job = request.custom_job
        check(job)
        _check_pools(job.job_spec)
        job.name = f"{request.parent}/customJobs/{next(self._numbers)}"
        job.create_time.CopyFrom(now())
        self._jobs[job.name] = job
        _move(job, _State.JOB_STATE_QUEUED)
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return copied(job)

    async def get_custom_job(self, request: Any) -> Message:
        """The job as it stands."""
        return copied(found(self._jobs, request.name))

    async def list_custom_jobs(self, request: Any) -> Message:
        """A page of them."""
        jobs, token = page(self._jobs.values(), request)
        return aiplatform_v1.ListCustomJobsResponse.pb()(custom_jobs=jobs, next_page_token=token)

    async def cancel_custom_job(self, request: Any) -> Message:
        """Nothing; the job ends some time after."""
        job = found(self._jobs, request.name)
        if job.state in _ENDED:
            raise VertexError("FAILED_PRECONDITION", f"The CustomJob {job.name!r} has ended and cannot be cancelled.")
        self._cancelled.add(job.name)
        return Empty()

    async def _run(self, job: Any) -> None:
        await asyncio.sleep(_STEP_SECONDS)
        _move(job, _State.JOB_STATE_PENDING)
        await asyncio.sleep(_STEP_SECONDS)
        _move(job, _State.JOB_STATE_RUNNING)
        job.start_time.CopyFrom(now())
        try:
            container = None if self._faults.take("job_hangs") else self._start(job)
            await self._finish(job, container)
        except VertexError as error:
            job.error.CopyFrom(error.status)
            _move(job, _State.JOB_STATE_FAILED)
        job.end_time.CopyFrom(now())

    def _start(self, job: Any) -> Container:
        spec = job.job_spec.worker_pool_specs[0].container_spec
        _, project, _, _, _, number = job.name.split("/")
        own = {"CLOUD_ML_JOB_ID": number, "CLOUD_ML_PROJECT_ID": project}
        return self._containers.start(f"job-{number}", [*spec.command, *spec.args], spec.env, own)

    async def _finish(self, job: Any, container: Container | None) -> None:
        """The job has ended. container: None where it never starts its program."""
        dies = container is not None and self._faults.take("job_dies")
        limit = time.monotonic() + (job.job_spec.scheduling.timeout.seconds or _WEEK_SECONDS)
        while container is None or container.poll() is None:
            await asyncio.sleep(_STEP_SECONDS)
            late = time.monotonic() > limit
            if job.name in self._cancelled or late:
                if container:
                    await asyncio.to_thread(container.stop, _GRACE_SECONDS)
                if late:
                    seconds = job.job_spec.scheduling.timeout.seconds
                    raise VertexError("FAILED_PRECONDITION", f"The job ran longer than its timeout of {seconds}s.")
                return _move(job, _State.JOB_STATE_CANCELLED)
            if dies and container:
                await asyncio.to_thread(container.kill)
        code = container.poll() or 0
        if code:
            shown = code if code > 0 else 128 - code
            said = f"The replica workerpool0-0 exited with a non-zero status of {shown}."
            raise VertexError("INVALID_ARGUMENT", f"{said} Its log is {container.log}")
        return _move(job, _State.JOB_STATE_SUCCEEDED)


def _check_pools(spec: Any) -> None:
    pools = list(spec.worker_pool_specs)
    if len(pools) != 1 or pools[0].replica_count != 1 or not pools[0].HasField("container_spec"):
        raise VertexError("UNIMPLEMENTED", "The stand-in runs jobs of one worker pool, replica and container.")
    if not pools[0].container_spec.image_uri:
        raise VertexError("INVALID_ARGUMENT", "container_spec.image_uri must not be empty.")
    check_machine(pools[0].machine_spec)


def _move(job: Any, state: Any) -> None:
    job.state = state
    job.update_time.CopyFrom(now())
