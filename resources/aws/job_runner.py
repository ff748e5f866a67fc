"""A job runner on Amazon SageMaker: fits are training jobs, scores are processing jobs, in the platform's own image."""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ml_platform.engine.machines import chosen
from ml_platform.errors import NotFoundError, PlatformError, ServiceError, missing_extra
from ml_platform.records.job import JobEvent, JobSpec, JobStatus
from ml_platform.records.usage import Usage
from resources.aws import sdk
from resources.aws.bucket import Bucket
from resources.aws.edge import RESULT
from resources.aws.instances import DEFAULT
from resources.aws.job_answers import LIVE, OF_PROGRAM, kind_of, status_of, usage_of
from resources.aws.job_requests import JobRequest
from resources.aws.sdk import ENVIRONMENT, TakenError

if TYPE_CHECKING:
    from ml_platform.engine.remote_jobs import ReadChunk
    from ml_platform.roles.job_runner import JobRunner

_NAME_CHARACTERS = 50  # of SageMaker's 63; the program and the attempt's number stand behind
_FINGERPRINT = "ml_platform_fingerprint"
_STOP_SECONDS = 300.0
_STANDING = (*LIVE, "succeeded")


class AwsJobRunner:
    """A job's id is SageMaker's name for it: `<prefix>-<name>-<digest>-<program>-<attempt>`.

    image: of the platform, in a registry that SageMaker reads. role: ARN of the role that jobs have.
    bucket, prefix, region: where orders, messages and results are, below `<prefix>/jobs`; the prefix is the
    environment's, and names and tags carry it. instances: the types that needs are mapped to, ascending, each `type`,
    `cpu`, `memory_gib` and, if it has one, `accelerator`. volume_gib: a job's disk. max_seconds: how long one may run.
    poll_seconds: between two looks at a job. stages: whether tables are sent along as files.
    """

    REACHES: ClassVar[frozenset[str]] = frozenset({"aws"})

    def __init__(
        self,
        image: str,
        role: str,
        bucket: str,
        prefix: str,
        region: str,
        instances: Sequence[Mapping[str, Any]] = DEFAULT,
        volume_gib: int = 30,
        max_seconds: int = 86_400,
        poll_seconds: float = 5.0,
        stages: bool = False,
    ) -> None:
        self.image, self._role, self._prefix, self._region = image, role, prefix, region
        self._bucket = Bucket(bucket, region)
        self._instances, self._volume_gib = instances, volume_gib
        self._max_seconds, self._poll_seconds = max_seconds, poll_seconds
        self.stages = stages

    def submit(self, spec: JobSpec) -> str:
        """As the role promises: what differs from the last attempt, failed or was cancelled is attempted anew.

        An attempt that still runs, but of another spec, is cancelled first.
        """
        name, fingerprint = self._called(spec)
        attempt = self._last_attempt(name)
        while not (attempt and self._stands(f"{name}-{attempt}", fingerprint)):
            attempt += 1
            try:
                self._create(f"{name}-{attempt}", spec, fingerprint)
            except TakenError:
                # By somebody else in this moment, or by our own call whose answer was lost: the next look says.
                continue
            break
        return f"{name}-{attempt}"

    def find(self, spec: JobSpec) -> str | None:
        """As the role promises."""
        name, fingerprint = self._called(spec)
        attempt = self._last_attempt(name)
        job_id = f"{name}-{attempt}"
        found = attempt and self._is_of(job_id, fingerprint) and self.status(job_id).state in _STANDING
        return job_id if found else None

    def status(self, job_id: str) -> JobStatus:
        """As the role promises; a failed program's own words come before SageMaker's."""
        status = status_of(job_id, self._described(job_id))
        if status.state != "failed" or not status.reason.startswith(OF_PROGRAM):
            return status
        from ml_platform.engine import remote_jobs

        return replace(status, reason=remote_jobs.reason(self._reader(job_id)) or status.reason)

    def usage(self, job_id: str) -> Usage:
        """What an ended job took, as SageMaker reports it."""
        return usage_of(job_id, self._described(job_id))

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """As the role promises."""
        from ml_platform.engine import remote_jobs

        return remote_jobs.events(
            self._reader(job_id), lambda: self.status(job_id).state not in LIVE, self._poll_seconds
        )

    def cancel(self, job_id: str) -> None:
        """As the role promises. Raises ServiceError where SageMaker has not ended it after five minutes."""
        kind, deadline = kind_of(job_id), time.monotonic() + _STOP_SECONDS
        if self._described(job_id)[f"{kind}JobStatus"] == "InProgress":
            try:
                sdk.call(self._sagemaker, f"stop_{kind.lower()}_job", **{f"{kind}JobName": job_id})
            except ServiceError:
                # It may have ended between the two calls.
                if self.status(job_id).state in LIVE:
                    raise
        while self.status(job_id).state in LIVE:
            if time.monotonic() > deadline:
                raise ServiceError(f"job {job_id} is told to stop, but SageMaker has not ended it")
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
        output = f"{self._folder(job_id)}/output"
        if kind_of(job_id) == "Processing":
            self._bucket.download(f"{output}/{RESULT}", into)
        else:
            with tempfile.TemporaryDirectory() as folder:
                _unpack(self._bucket.fetch(f"{output}/model.tar.gz", Path(folder) / "model.tar.gz"), into)
        return into

    @cached_property
    def _sagemaker(self) -> Any:
        return sdk.client("sagemaker", self._region)

    def _called(self, spec: JobSpec) -> tuple[str, str]:
        """The name of the spec's job, without an attempt's number, and the fingerprint of what it does."""
        from ml_platform.engine import remote_jobs

        name = remote_jobs.job_name(self._prefix, spec.name, _NAME_CHARACTERS)
        return f"{name}-{spec.program}", remote_jobs.fingerprint(spec)

    def _last_attempt(self, name: str) -> int:
        """The number of the last attempt that SageMaker lists; 0 where there is none."""
        kind = kind_of(f"{name}-1")
        with sdk.told():
            pages = self._sagemaker.get_paginator(f"list_{kind.lower()}_jobs").paginate(NameContains=name)
            names = [job[f"{kind}JobName"] for page in pages for job in page[f"{kind}JobSummaries"]]
        found = (re.fullmatch(rf"{re.escape(name)}-(\d+)", job) for job in names)
        return max((int(match[1]) for match in found if match), default=0)

    def _stands(self, job_id: str, fingerprint: str) -> bool:
        """Whether the job does, or did, what is asked for; if not, it has ended."""
        if self._is_of(job_id, fingerprint):
            return self.status(job_id).state in _STANDING
        self.cancel(job_id)
        return False

    def _is_of(self, job_id: str, fingerprint: str) -> bool:
        """Whether that is what the job was created for. Raises ServiceError for one that is not this environment's."""
        tags = sdk.tags(self._sagemaker, self._described(job_id)[f"{kind_of(job_id)}JobArn"])
        if tags.get(ENVIRONMENT) != self._prefix:
            raise ServiceError(
                f"job {job_id} stands in SageMaker without the tag {ENVIRONMENT}={self._prefix}, but has our name",
                remedy="It is somebody else's: name the environment or the model otherwise",
            )
        return tags.get(_FINGERPRINT) == fingerprint

    def _create(self, job_id: str, spec: JobSpec, fingerprint: str) -> None:
        from ml_platform.engine import remote_jobs

        # By its content, so that an attempt never finds the order of another.
        order = f"{self._prefix}/jobs/orders/{fingerprint}"
        request = JobRequest(
            name=job_id,
            image=self.image,
            role=self._role,
            order=self._bucket.uri(f"{order}/"),
            events=self._bucket.uri(f"{self._folder(job_id)}/events"),
            output=self._bucket.uri(f"{self._prefix}/jobs"),
            instance=str(chosen(spec.needs, self._instances)["type"]),
            volume_gib=self._volume_gib,
            max_seconds=self._max_seconds,
            tags={ENVIRONMENT: self._prefix, _FINGERPRINT: fingerprint},
        )
        with tempfile.TemporaryDirectory() as folder:
            remote_jobs.write_order(spec, Path(folder))
            self._bucket.upload(Path(folder), order)
        if kind_of(job_id) == "Training":
            sdk.call(self._sagemaker, "create_training_job", **request.training())
        else:
            sdk.call(self._sagemaker, "create_processing_job", **request.processing())

    def _described(self, job_id: str) -> dict[str, Any]:
        """What SageMaker says of the job. Raises NotFoundError."""
        kind = kind_of(job_id)
        try:
            if kind:
                return sdk.call(self._sagemaker, f"describe_{kind.lower()}_job", **{f"{kind}JobName": job_id})
        except NotFoundError as error:
            raise self._unknown(job_id) from error
        raise self._unknown(job_id)

    def _unknown(self, job_id: str) -> NotFoundError:
        return NotFoundError(f"job {job_id} is asked for, but SageMaker in {self._region} has none of that name")

    def _reader(self, job_id: str) -> ReadChunk:
        """What reads the job's messages; a chunk that is not there is None."""
        try:
            from dagster_aws.pipes import PipesS3MessageReader
        except ImportError as error:
            raise missing_extra("aws", error) from error
        reader = PipesS3MessageReader(bucket=self._bucket.name, client=self._bucket.client)
        where = {"key_prefix": f"{self._folder(job_id)}/events"}

        def read(number: int) -> str | None:
            with sdk.told():
                return reader.download_messages_chunk(number, where)

        return read

    def _folder(self, job_id: str) -> str:
        return f"{self._prefix}/jobs/{job_id}"


def _unpack(archive: Path, into: Path) -> None:
    """The folder holds what the program wrote, of the archive that SageMaker made."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
        except tarfile.TarError as error:
            raise ServiceError(
                f"what the job wrote cannot be unpacked, or names what is not its own: {error}",
                remedy="Nothing of it was taken: find out who wrote to the bucket, and run the job again",
            ) from error
        shutil.copytree(Path(scratch) / RESULT, into, dirs_exist_ok=True)


if TYPE_CHECKING:
    _: type[JobRunner] = AwsJobRunner
