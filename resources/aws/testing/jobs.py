"""Training and processing jobs: their states, and the container that really runs between them."""

from __future__ import annotations

import math
import shutil
import tarfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

from ml_platform.testing.container import Container
from resources.aws.testing.account import Account, offered, page
from resources.aws.testing.job_layout import Job, artifacts, inputs, outputs, program, toolkit, write_configuration
from resources.aws.testing.service_model import Refusal

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 10.0
_LISTED = ("NameContains", "StatusEquals", "SortBy", "SortOrder", "MaxResults", "NextToken")
_TAKEN = {
    "Training": (
        *("TrainingJobName", "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig"),
        *("OutputDataConfig", "ResourceConfig", "StoppingCondition", "Environment", "Tags"),
    ),
    "Processing": (
        *("ProcessingJobName", "ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources"),
        *("AppSpecification", "RoleArn", "StoppingCondition", "Environment", "Tags"),
    ),
}


class Jobs:
    """The jobs of one kind, `Training` or `Processing`; a name is never given twice."""

    def __init__(self, account: Account, kind: str) -> None:
        self._account, self._kind, self._noun = account, kind, f"{kind}Job"
        self._jobs: dict[str, Job] = {}

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The job has begun."""
        offered(request, *_TAKEN[self._kind])
        name = request[f"{self._noun}Name"]
        arn = self._account.arn(f"{self._kind.lower()}-job", name)
        if name in self._jobs:
            raise Refusal(
                "ResourceInUse",
                f"{self._kind} job names must be unique within an AWS account and region, and a {self._kind.lower()} "
                f"job with this name already exists ({arn})",
            )
        self._account.tag(arn, request.get("Tags", []))
        job = Job(name, self._kind, arn, request, self._account.folder(), datetime.now(UTC))
        self._jobs[name] = job
        Thread(target=self._run, args=(job,), daemon=True).start()
        return {f"{self._noun}Arn": arn}

    def describe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """How the job stands."""
        job = self._found(request)
        given = {name: value for name, value in job.request.items() if name != "Tags"}
        always = {f"{self._noun}Arn": job.arn, f"{self._noun}Status": job.status, "CreationTime": job.created}
        secondary = {"SecondaryStatusTransitions": list(job.transitions), "SecondaryStatus": "Starting"}
        if job.transitions:
            secondary["SecondaryStatus"] = job.transitions[-1]["Status"]
        if self._kind == "Processing":
            return given | always | job.said
        return given | always | job.said | secondary | {"ModelArtifacts": {"S3ModelArtifacts": artifacts(job)}}

    def list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The jobs that the request asks for, the youngest first."""
        offered(request, *_LISTED)
        described = (self.describe({f"{self._noun}Name": name}) for name in self._jobs)
        kept = ("Name", "Arn", "Status")
        names = [f"{self._noun}{part}" for part in kept]
        found, more = page(described, request, self._noun)
        return {
            f"{self._noun}Summaries": [{name: job[name] for name in (*names, "CreationTime")} for job in found],
            **more,
        }

    def stop(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The job is told to end."""
        job = self._found(request)
        if job.status not in ("InProgress", "Stopping"):
            raise Refusal(
                "ValidationException",
                f"The request was rejected because the {self._kind.lower()} job is in status {job.status}.",
            )
        job.status = "Stopping"
        self._say(job, "Stopping")
        job.told_to_stop.set()
        return {}

    def end(self) -> None:
        """No container of a job runs."""
        for job in self._jobs.values():
            job.told_to_stop.set()
            if job.container:
                job.container.kill()

    def _found(self, request: Mapping[str, Any]) -> Job:
        job = self._jobs.get(request[f"{self._noun}Name"])
        if job is None:
            raise Refusal("ValidationException", "Requested resource not found.")
        return job

    def _run(self, job: Job) -> None:
        """The whole way of a job."""
        try:
            status, secondary = self._work(job)
        except Exception as error:
            # A role that may not read, a prefix without objects: on the service too, the job fails and not the call.
            status, secondary = "Failed", "Failed"
            job.said["FailureReason"] = f"ClientError: {error}"[:1024]
        job.said[f"{self._kind}EndTime"] = ended = datetime.now(UTC)
        if self._kind == "Training" and "TrainingStartTime" in job.said:
            job.said["BillableTimeInSeconds"] = max(
                1, math.ceil((ended - job.said["TrainingStartTime"]).total_seconds())
            )
        shutil.rmtree(job.base, ignore_errors=True)
        with self._account.lock:
            self._say(job, secondary)
            job.status = status

    def _work(self, job: Job) -> tuple[str, str]:
        self._say(job, "Downloading")
        for uri, folder in inputs(job):
            if not self._account.download(uri, folder):
                raise FileNotFoundError(f"Data download failed: No S3 objects found under S3 URL {uri!r}")
        write_configuration(job)
        self._say(job, "Training")
        job.said[f"{self._kind}StartTime"] = datetime.now(UTC)
        code, in_time = self._executed(job)
        self._say(job, "Uploading")
        if code == 0 or job.told_to_stop.is_set() or not in_time:
            self._upload(job)
        message = job.base / "output" / "message"
        if self._kind == "Processing" and message.exists():
            job.said["ExitMessage"] = message.read_text()[:1024]
        if job.told_to_stop.is_set() or not in_time:
            return "Stopped", "Stopped" if in_time else "MaxRuntimeExceeded"
        if code:
            failure = job.base / "output" / "failure"
            words = failure.read_text() if failure.exists() else ""
            job.said["FailureReason"] = f"AlgorithmError: {words[:900]}, exit code: {code}"
            return "Failed", "Failed"
        return "Completed", "Completed"

    def _executed(self, job: Job) -> tuple[int, bool]:
        """The container's exit code, and whether it ended before its time limit."""
        dies, hangs = self._account.faults.take("job_dies"), self._account.faults.take("job_hangs")
        if not hangs:
            job.container = Container.start(program(job), job.folder, self._environment(job), self._account.told.log())
            stream = f"{job.name}/algo-1-{int(job.created.timestamp())}"
            self._account.print_to(f"/aws/sagemaker/{self._noun}s", stream, job.container.output)
        ends = time.monotonic() + job.seconds
        while not job.told_to_stop.wait(_POLL_SECONDS):
            if time.monotonic() > ends:
                break
            code = job.container.poll() if job.container else None
            if code is not None:
                return (code if code >= 0 else 128 - code), True
            if dies and job.container and job.container.output():
                job.container.kill()
        if job.container:
            job.container.stop(_GRACE_SECONDS)
        return 0, job.told_to_stop.is_set()

    def _environment(self, job: Job) -> dict[str, str]:
        given = {f"{job.kind.upper()}_JOB_NAME": job.name, f"{job.kind.upper()}_JOB_ARN": job.arn}
        own = {"SAGEMAKER_BASE_DIR": str(job.base), **given, **(toolkit(job) if job.kind == "Training" else {})}
        return {**self._account.environment, **own, **job.request.get("Environment", {})}

    def _upload(self, job: Job) -> None:
        for folder, uri in outputs(job):
            if uri.endswith(".tar.gz"):
                archive = job.folder / Path(uri).name
                with tarfile.open(archive, "w:gz") as tar:
                    tar.add(folder, arcname=".")
                self._account.upload(archive, uri)
            else:
                self._account.upload(folder, uri)

    def _say(self, job: Job, status: str) -> None:
        now = datetime.now(UTC)
        if job.transitions:
            job.transitions[-1]["EndTime"] = now
        job.transitions.append({"Status": status, "StartTime": now})
