from __future__ import annotations

import pytest

from resources.aws.job_requests import JobRequest
from resources.aws.testing.service_model import check_request, operation

REQUEST = JobRequest(
    name="dev-late-0f3a-fit-1",
    image="123456789012.dkr.ecr.eu-central-1.amazonaws.com/ml-platform:1",
    role="arn:aws:iam::123456789012:role/ml-platform",
    order="s3://bucket/dev/jobs/orders/1/",
    events="s3://bucket/dev/jobs/dev-late-0f3a-fit-1/events",
    output="s3://bucket/dev/jobs",
    instance="ml.m5.large",
    volume_gib=30,
    max_seconds=3600,
    tags={"ml_platform_environment": "dev"},
)


@pytest.mark.parametrize(
    ("name", "request_"),
    [("CreateTrainingJob", REQUEST.training()), ("CreateProcessingJob", REQUEST.processing())],
)
def test_request_is_one_by_amazons_own_service_model(name: str, request_: dict[str, object]) -> None:
    check_request(operation("sagemaker", name), request_)


def test_score_is_written_where_a_fit_is() -> None:
    (output,) = REQUEST.processing()["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == "s3://bucket/dev/jobs/dev-late-0f3a-fit-1/output"
    assert REQUEST.training()["OutputDataConfig"] == {"S3OutputPath": "s3://bucket/dev/jobs"}


@pytest.mark.parametrize(("request_", "what"), [(REQUEST.training(), "train"), (REQUEST.processing(), "process")])
def test_container_runs_the_edge_of_the_platforms_image(request_: dict[str, dict[str, object]], what: str) -> None:
    given = request_.get("AlgorithmSpecification") or request_["AppSpecification"]
    assert given["ContainerEntrypoint"] == ["python", "-m", "resources.aws.edge"]
    assert given["ContainerArguments"] == [what]
