"""A job runner on Vertex AI: every job is a custom job of one container, in the platform's own image."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from ml_platform.errors import NotFoundError, PlatformError, ServiceError
from ml_platform.records.job import JobEvent, JobSpec, JobState, JobStatus
from ml_platform.records.usage import Usage
from resources.gcp import instances as types
from resources.gcp import sdk
from resources.gcp.bucket import Bucket

if TYPE_CHECKING:
    from ml_platform.engine.remote_jobs import ReadChunk
    from ml_platform.roles.job_runner import JobRunner

_ID = re.compile(r"projects/[^/]+/locations/[^/]+/customJobs/\d+")
_LABEL_CHARACTERS = 63
_NAME_CHARACTERS = 128
_CANCEL_SECONDS = 300.0
_COMMAND = ["python", "-m", "resources.gcp.edge"]
_STATES: Mapping[str, JobState] = {
    "JOB_STATE_UNSPECIFIED": "pending",
    "JOB_STATE_QUEUED": "pending",
    "JOB_STATE_PENDING": "pending",
    "JOB_STATE_RUNNING": "running",
    "JOB_STATE_CANCELLING": "running",
    "JOB_STATE_PAUSED": "running",
    "JOB_STATE_UPDATING": "running",
    "JOB_STATE_SUCCEEDED": "succeeded",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "failed",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_EXPIRED": "failed",
    "JOB_STATE_CANCELLED": "cancelled",
}
_LIVE = ("pending", "running")


class GcpJobRunner:
    """A job's id is the resource name of its custom job; labels say whose it is, and what it runs.

    image: of the platform, in a registry that Vertex AI reads. service_account: whose permissions jobs have, by its
    e-mail address; empty for the project's default. bucket, prefix: where orders, messages and results are, below
    `<prefix>/jobs`; the prefix is the environment's, and names and labels carry it. project, region: where jobs run.
    api_endpoint: of another Vertex AI than Google's. instances: the types that needs are mapped to, ascending, each
    `type`, `cpu`, `memory_gib` and, if it has one, `accelerator` and `accelerator_type`. disk_gib: a job's disk.
    max_seconds: how long one may run. poll_seconds: between two looks. stages: whether tables are sent along as files.
    """

    REACHES: ClassVar[frozenset[str]] = frozenset({"gcp"})

    def __init__(
        self,
        image: str,
        bucket: str,
        prefix: str,
        project: str,
        region: str,
        service_account: str = "",
        api_endpoint: str = "",
        instances: Sequence[Mapping[str, Any]] = types.DEFAULT,
        disk_gib: int = 100,
        max_seconds: int = 86_400,
        poll_seconds: float = 5.0,
        stages: bool = False,
    ) -> None:
        self.image, self._service_account, self._prefix = image, service_account, prefix
        self._bucket, self._vertex = Bucket(bucket, sdk.dagster_storage), sdk.Vertex(project, region, api_endpoint)
        self._instances, self._disk_gib = instances, disk_gib
        self._max_seconds, self._poll_seconds = max_seconds, poll_seconds
        self.stages = stages

    def submit(self, spec: JobSpec) -> str:
        """As the role promises; an attempt that still runs, but of another spec, is cancelled first."""
        from ml_platform.engine import remote_jobs

        name, wanted = self._called(spec)
        for job in self._jobs(name):
            if _stands(job, wanted):
                return str(job.name)
            if _STATES[job.state.name] in _LIVE:
                self.cancel(job.name)
        labels = {
            "ml_platform_environment": self._prefix,
            "ml_platform_job": name,
            "ml_platform_attempt": uuid4().hex,
            "ml_platform_fingerprint": wanted,
        }
        with tempfile.TemporaryDirectory() as folder:
            remote_jobs.write_order(spec, Path(folder))
            self._bucket.upload(Path(folder), f"{self._folder(labels)}/order")
        return self._create(self._request(spec, labels))

    def find(self, spec: JobSpec) -> str | None:
        """As the role promises."""
        name, wanted = self._called(spec)
        return next((str(job.name) for job in self._jobs(name) if _stands(job, wanted)), None)

    def status(self, job_id: str) -> JobStatus:
        """As the role promises."""
        job = self._job(job_id)
        state = _STATES[job.state.name]
        return JobStatus(job_id, state, self._reason(job) if state == "failed" else "")

    def usage(self, job_id: str) -> Usage:
        """What an ended job took: Vertex AI bills from its start to its end."""
        job = self._job(job_id)
        machine = job.job_spec.worker_pool_specs[0].machine_spec.machine_type
        seconds = (job.end_time - job.start_time).total_seconds() if job.start_time and job.end_time else 0.0
        return Usage(job_id, machine, seconds)

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """As the role promises."""
        from ml_platform.engine import remote_jobs

        read = self._reader(self._job(job_id).labels)
        return remote_jobs.events(read, lambda: self.status(job_id).state not in _LIVE, self._poll_seconds)

    def cancel(self, job_id: str) -> None:
        """As the role promises. Raises ServiceError where Vertex AI has not ended it after five minutes."""
        deadline = time.monotonic() + _CANCEL_SECONDS
        if self.status(job_id).state in _LIVE:
            try:
                sdk.call("aiplatform.customJobs.cancel", self._vertex.jobs.cancel_custom_job, name=job_id)
            except ServiceError:
                # It may have ended between the two calls.
                if self.status(job_id).state in _LIVE:
                    raise
        while self.status(job_id).state in _LIVE:
            if time.monotonic() > deadline:
                raise ServiceError(f"job {job_id} is told to end, but Vertex AI has not ended it")
            time.sleep(self._poll_seconds)

    def result(self, job_id: str, into: Path) -> Path:
        """As the role promises; `into` is new or empty before."""
        status = self.status(job_id)
        if status.state != "succeeded":
            raise ServiceError(
                f"job {job_id} is {status.state}, but only a succeeded job has a result",
                allowed=f"It said: {status.reason}" if status.reason else "",
            )
        if into.exists() and any(into.iterdir()):
            raise PlatformError(f"folder {into} holds files already, but a result is put into a new or an empty one")
        self._bucket.download(f"{self._folder(self._job(job_id).labels)}/output", into)
        return into

    def _called(self, spec: JobSpec) -> tuple[str, str]:
        """The labels of the spec's job: its name, and the fingerprint of what it does."""
        from ml_platform.engine import remote_jobs

        name = remote_jobs.job_name(self._prefix, spec.name, _LABEL_CHARACTERS)
        return name, remote_jobs.fingerprint(spec)[:_LABEL_CHARACTERS]

    def _job(self, job_id: str) -> Any:
        """The custom job, which is of our environment. Raises NotFoundError."""
        absent = NotFoundError(f"job {job_id} is asked for, but environment {self._prefix} has none of that name")
        if not _ID.fullmatch(job_id):
            raise absent
        job = sdk.call("aiplatform.customJobs.get", self._vertex.jobs.get_custom_job, name=job_id)
        if job.labels.get("ml_platform_environment") != self._prefix:
            raise absent
        return job

    def _jobs(self, name: str) -> list[Any]:
        """The attempts at that name, the newest first."""
        request = {"parent": self._vertex.parent, "filter": _filter(self._prefix, "job", name)}
        found = sdk.call("aiplatform.customJobs.list", self._vertex.jobs.list_custom_jobs, **request)
        with sdk.told("aiplatform.customJobs.list"):
            return sorted(found, key=lambda job: job.create_time, reverse=True)

    def _create(self, job: Mapping[str, Any]) -> str:
        """The id of the custom job, which is there once even where the answer to its creation is lost."""
        jobs, parent = self._vertex.jobs, self._vertex.parent
        attempt = _filter(self._prefix, "attempt", job["labels"]["ml_platform_attempt"])

        def found_or_created() -> str:
            for found in sdk.called_once(jobs.list_custom_jobs, parent=parent, filter=attempt):
                return str(found.name)
            return str(sdk.called_once(jobs.create_custom_job, parent=parent, custom_job=job).name)

        with sdk.told("aiplatform.customJobs.create"):
            created: str = sdk.tries()(found_or_created)()
        return created

    def _request(self, spec: JobSpec, labels: Mapping[str, str]) -> dict[str, Any]:
        place = self._bucket.uri(self._folder(labels))
        arguments = [f"--{name}={place}/{name}" for name in ("order", "output", "events")]
        pool = {
            "machine_spec": types.machine(spec.needs, self._instances),
            "replica_count": 1,
            "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": self._disk_gib},
            "container_spec": {"image_uri": self.image, "command": _COMMAND, "args": ["job", *arguments]},
        }
        # An attempt has a folder of its own, in which the service must not begin a second one.
        scheduling = {"timeout": {"seconds": self._max_seconds}, "disable_retries": True}
        work = {"worker_pool_specs": [pool], "scheduling": scheduling, "service_account": self._service_account}
        display_name = f"{self._prefix}-{spec.name}"[:_NAME_CHARACTERS]
        return {"display_name": display_name, "labels": dict(labels), "job_spec": work}

    def _reason(self, job: Any) -> str:
        """Why the job failed: its time limit, else the words of its program, else those of the service."""
        from ml_platform.engine import remote_jobs

        limit = job.job_spec.scheduling.timeout
        if job.start_time and job.end_time and limit and job.end_time - job.start_time >= limit:
            return f"it was ended at its time limit, max_seconds, which is {limit.total_seconds():g} seconds"
        own = remote_jobs.reason(self._reader(job.labels))
        return own or str(job.error.message) or "Vertex AI gives no reason"

    def _reader(self, labels: Mapping[str, str]) -> ReadChunk:
        place = f"{self._folder(labels)}/events"

        def read(number: int) -> str | None:
            chunk = self._bucket.find(f"{place}/{number}.json")
            return None if chunk is None else chunk.decode()

        return read

    def _folder(self, labels: Mapping[str, str]) -> str:
        return f"{self._prefix}/jobs/{labels['ml_platform_job']}/{labels['ml_platform_attempt']}"


def _stands(job: Any, fingerprint: str) -> bool:
    """Whether the job does, or did, what is asked for."""
    same = job.labels["ml_platform_fingerprint"] == fingerprint
    return bool(same and _STATES[job.state.name] in (*_LIVE, "succeeded"))


def _filter(environment: str, label: str, value: str) -> str:
    return f'labels.ml_platform_environment="{environment}" AND labels.ml_platform_{label}="{value}"'


if TYPE_CHECKING:
    _: type[JobRunner] = GcpJobRunner
