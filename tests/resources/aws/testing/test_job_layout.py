from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resources.aws.testing.job_layout import Job, inputs, outputs, program, toolkit, write_configuration


def job(kind: str, folder: Path, **request: Any) -> Job:
    return Job("late", kind, "arn", request, folder, datetime.now(UTC))


@pytest.fixture
def training(tmp_path: Path) -> Job:
    source = {"DataSource": {"S3DataSource": {"S3Uri": "s3://bucket/rows"}}}
    return job(
        "Training",
        tmp_path,
        AlgorithmSpecification={},
        HyperParameters={"rounds": "5"},
        InputDataConfig=[{"ChannelName": "train", **source}],
        OutputDataConfig={"S3OutputPath": "s3://bucket/out/"},
    )


@pytest.fixture
def processing(tmp_path: Path) -> Job:
    given = {"S3Input": {"S3Uri": "s3://bucket/rows", "LocalPath": "/opt/ml/processing/input/rows"}}
    made = {"S3Output": {"S3Uri": "s3://bucket/out", "LocalPath": "/opt/ml/processing/output"}}
    return job(
        "Processing",
        tmp_path,
        AppSpecification={"ContainerEntrypoint": ["python", "-m", "score"], "ContainerArguments": ["fast"]},
        ProcessingInputs=[given],
        ProcessingOutputConfig={"Outputs": [made]},
    )


def test_training_job_reads_channels_and_leaves_an_archive_of_its_model(training: Job, tmp_path: Path) -> None:
    base = tmp_path / "opt" / "ml"
    assert list(inputs(training)) == [("s3://bucket/rows", base / "input" / "data" / "train")]
    assert list(outputs(training)) == [(base / "model", "s3://bucket/out/late/output/model.tar.gz")]


def test_processing_job_reads_and_leaves_folders(processing: Job, tmp_path: Path) -> None:
    folder = tmp_path / "opt" / "ml" / "processing"
    assert list(inputs(processing)) == [("s3://bucket/rows", folder / "input" / "rows")]
    assert list(outputs(processing)) == [(folder / "output", "s3://bucket/out")]


def test_configuration_is_written_as_training_images_read_it(training: Job) -> None:
    write_configuration(training)
    config = training.base / "input" / "config"
    assert json.loads((config / "hyperparameters.json").read_text()) == {"rounds": "5"}
    assert json.loads((config / "resourceconfig.json").read_text())["current_host"] == "algo-1"
    assert list(json.loads((config / "inputdataconfig.json").read_text())) == ["train"]
    assert (training.base / "model").is_dir()
    assert toolkit(training)["SM_CHANNEL_TRAIN"] == str(training.base / "input" / "data" / "train")


def test_program_is_the_requests_or_the_images_own(training: Job, processing: Job) -> None:
    assert program(processing) == ["score", "fast"]
    assert program(training) == ["resources.aws.edge", "train"]


def test_program_that_the_image_does_not_have_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="CannotStartContainerError"):
        program(job("Processing", tmp_path, AppSpecification={"ContainerEntrypoint": ["/bin/sh"]}))
