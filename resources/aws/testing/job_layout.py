"""What a container of a job finds and leaves: the layout of `/opt/ml`, its variables, and where S3 has the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

from ml_platform.testing.container import Container

_OPT_ML = "/opt/ml"
_DEFAULT_SECONDS = 86_400


@dataclass
class Job:
    """One job. request: as it was created; said: what Describe answers beside that."""

    name: str
    kind: str
    arn: str
    request: Mapping[str, Any]
    folder: Path
    created: datetime
    status: str = "InProgress"
    said: dict[str, Any] = field(default_factory=dict)
    transitions: list[dict[str, Any]] = field(default_factory=list)
    told_to_stop: Event = field(default_factory=Event)
    container: Container | None = None

    @property
    def base(self) -> Path:
        """What is `/opt/ml` on the service."""
        return self.folder / "opt" / "ml"

    @property
    def seconds(self) -> int:
        """How long it may run."""
        condition = self.request.get("StoppingCondition", {})
        return int(condition.get("MaxRuntimeInSeconds", _DEFAULT_SECONDS))


def program(job: Job) -> list[str]:
    """Module and arguments that the container runs. Raises FileNotFoundError for what is not in the platform's image.

    Without an entry point the service passes `train` to the image, as it passes `serve` to that of an endpoint.
    """
    given = job.request["AlgorithmSpecification" if job.kind == "Training" else "AppSpecification"]
    asked = [*given.get("ContainerEntrypoint", []), *given.get("ContainerArguments", [])]
    match asked:
        case ["python", "-m", *module] if module:
            return module
        case [] if job.kind == "Training":
            return ["resources.aws.edge", "train"]
    raise FileNotFoundError(f"CannotStartContainerError: {asked} cannot be run in the image")


def inputs(job: Job) -> Iterator[tuple[str, Path]]:
    """S3 URI and folder of everything that is brought to the container."""
    for channel in job.request.get("InputDataConfig", []):
        yield channel["DataSource"]["S3DataSource"]["S3Uri"], job.base / "input" / "data" / channel["ChannelName"]
    for given in job.request.get("ProcessingInputs", []):
        yield given["S3Input"]["S3Uri"], _inside(job, given["S3Input"]["LocalPath"])


def outputs(job: Job) -> Iterator[tuple[Path, str]]:
    """Folder and S3 URI of everything that is taken from the container."""
    if job.kind == "Training":
        yield job.base / "model", artifacts(job)
    for given in job.request.get("ProcessingOutputConfig", {}).get("Outputs", []):
        yield _inside(job, given["S3Output"]["LocalPath"]), given["S3Output"]["S3Uri"]


def artifacts(job: Job) -> str:
    """Where a training job leaves its model."""
    return f"{job.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job.name}/output/model.tar.gz"


def _inside(job: Job, path: str) -> Path:
    """The folder that stands for a path of the container."""
    return job.base / Path(path).relative_to(_OPT_ML)


def write_configuration(job: Job) -> None:
    """What the service writes for the container to read, and the folders that it makes."""
    folders = ("input/config", "model", "output/data") if job.kind == "Training" else ("config", "output")
    for name in folders:
        (job.base / name).mkdir(parents=True, exist_ok=True)
    for folder, _ in outputs(job):
        folder.mkdir(parents=True, exist_ok=True)
    if job.kind == "Processing":
        (job.base / "config" / "processingjobconfig.json").write_text(json.dumps(job.request))
        return
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"}
    config = {
        "hyperparameters.json": job.request.get("HyperParameters", {}),
        "inputdataconfig.json": {
            channel["ChannelName"]: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
            for channel in job.request.get("InputDataConfig", [])
        },
        "resourceconfig.json": hosts,
    }
    for name, content in config.items():
        (job.base / "input" / "config" / name).write_text(json.dumps(content))


def toolkit(job: Job) -> dict[str, str]:
    """The variables that images made with SageMaker's training toolkit find."""
    channels = {channel["ChannelName"] for channel in job.request.get("InputDataConfig", [])}
    given = {f"SM_CHANNEL_{name.upper()}": str(job.base / "input" / "data" / name) for name in channels}
    return {
        **given,
        "SM_CHANNELS": json.dumps(sorted(channels)),
        "SM_MODEL_DIR": str(job.base / "model"),
        "SM_OUTPUT_DATA_DIR": str(job.base / "output" / "data"),
        "SM_HPS": json.dumps(job.request.get("HyperParameters", {})),
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
    }
