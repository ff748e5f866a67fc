"""The requests by which SageMaker runs a job: a training job for a fit, a processing job for a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.aws.edge import EVENTS, ORDER_CHANNEL

_PROCESSING = "/opt/ml/processing"


@dataclass(frozen=True)
class JobRequest:
    """What a job is to be created from.

    order, events, output: URIs of the folders that it reads, says and writes. output: its job's own folder is in there.
    instance: type of its machine; volume_gib: its disk. max_seconds: how long it may run.
    """

    name: str
    image: str
    role: str
    order: str
    events: str
    output: str
    instance: str
    volume_gib: int
    max_seconds: int
    tags: Mapping[str, str]

    def training(self) -> dict[str, Any]:
        """The request to CreateTrainingJob."""
        source = {"S3DataType": "S3Prefix", "S3Uri": self.order, "S3DataDistributionType": "FullyReplicated"}
        return {
            "TrainingJobName": self.name,
            "AlgorithmSpecification": {"TrainingImage": self.image, "TrainingInputMode": "File", **_command("train")},
            "InputDataConfig": [{"ChannelName": ORDER_CHANNEL, "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": self.output},
            "ResourceConfig": self._machine(),
            **self._common(),
        }

    def processing(self) -> dict[str, Any]:
        """The request to CreateProcessingJob."""
        source = {
            "S3Uri": self.order,
            "LocalPath": f"{_PROCESSING}/input/{ORDER_CHANNEL}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        }
        target = {
            "S3Uri": f"{self.output}/{self.name}/output",
            "LocalPath": f"{_PROCESSING}/output",
            "S3UploadMode": "EndOfJob",
        }
        return {
            "ProcessingJobName": self.name,
            "AppSpecification": {"ImageUri": self.image, **_command("process")},
            "ProcessingInputs": [{"InputName": ORDER_CHANNEL, "S3Input": source}],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "output", "S3Output": target}]},
            "ProcessingResources": {"ClusterConfig": self._machine()},
            **self._common(),
        }

    def _machine(self) -> dict[str, Any]:
        return {"InstanceType": self.instance, "InstanceCount": 1, "VolumeSizeInGB": self.volume_gib}

    def _common(self) -> dict[str, Any]:
        return {
            "RoleArn": self.role,
            "StoppingCondition": {"MaxRuntimeInSeconds": self.max_seconds},
            "Environment": {EVENTS: self.events},
            "Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()],
        }


def _command(what: str) -> dict[str, list[str]]:
    return {"ContainerEntrypoint": ["python", "-m", "resources.aws.edge"], "ContainerArguments": [what]}
