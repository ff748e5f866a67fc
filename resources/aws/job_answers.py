"""What SageMaker says of a job, in the platform's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ml_platform.records.job import JobState, JobStatus
from ml_platform.records.usage import Usage

LIVE: tuple[JobState, ...] = ("pending", "running")
# How a failure begins for which the program in the container is to blame.
OF_PROGRAM = "AlgorithmError"
_JOB_ID = re.compile(r".+-(fit|score)-\d+")
_KINDS = {"fit": "Training", "score": "Processing"}
_STARTING = ("Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack")
_STATES: Mapping[str, JobState] = {
    "InProgress": "running",
    "Stopping": "running",
    "Completed": "succeeded",
    "Failed": "failed",
    "Stopped": "cancelled",
}


def kind_of(job_id: str) -> str:
    """`Training` or `Processing`, by the program in the job's name; empty for what is no job of ours.

    >>> kind_of("prod-arrival-delay-4d5b8ff6-fit-2")
    'Training'
    """
    match = _JOB_ID.fullmatch(job_id)
    return _KINDS[match[1]] if match else ""


def status_of(job_id: str, found: Mapping[str, Any]) -> JobStatus:
    """The job's status. found: the answer to Describe."""
    said = found[f"{kind_of(job_id)}JobStatus"]
    if said == "InProgress" and found.get("SecondaryStatus") in _STARTING:
        return JobStatus(job_id, "pending")
    if said == "Stopped" and _out_of_time(found):
        seconds = found["StoppingCondition"]["MaxRuntimeInSeconds"]
        return JobStatus(job_id, "failed", f"SageMaker ended it at its time limit: max_seconds is {seconds} seconds")
    if said == "Failed":
        return JobStatus(job_id, "failed", found.get("FailureReason", "SageMaker gives no reason"))
    return JobStatus(job_id, _STATES[said])


def usage_of(job_id: str, found: Mapping[str, Any]) -> Usage:
    """What an ended job took: of a training job the seconds that SageMaker bills, of a processing job its times.

    One that never started its container has taken nothing. found: the answer to Describe.
    """
    kind = kind_of(job_id)
    if kind == "Training":
        return Usage(job_id, found["ResourceConfig"]["InstanceType"], float(found.get("BillableTimeInSeconds", 0)))
    start, end = found.get("ProcessingStartTime"), found.get("ProcessingEndTime")
    seconds = (end - start).total_seconds() if start and end else 0.0
    return Usage(job_id, found["ProcessingResources"]["ClusterConfig"]["InstanceType"], seconds)


def _out_of_time(found: Mapping[str, Any]) -> bool:
    """Whether a stopped job was stopped for its time limit; of a processing job only its times tell."""
    if "SecondaryStatus" in found:
        return bool(found["SecondaryStatus"] == "MaxRuntimeExceeded")
    if "ProcessingStartTime" not in found:
        return False
    limit = timedelta(seconds=found["StoppingCondition"]["MaxRuntimeInSeconds"])
    return bool(found["ProcessingEndTime"] - found["ProcessingStartTime"] >= limit)
