from __future__ import annotations

import sys

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from ml_platform.errors import (
    BindingError,
    NotFoundError,
    PlatformError,
    RefusedError,
    ServiceError,
    TransientServiceError,
)
from resources.aws import sdk
from resources.aws.sdk import TakenError


def refused(code: str, message: str = "no", status: int = 400) -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "CreateTrainingJob")


def told(error: Exception) -> PlatformError:
    with pytest.raises(PlatformError) as found, sdk.told():
        raise error
    assert found.value.__cause__ is error
    return found.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused("ThrottlingException", "Rate exceeded"), TransientServiceError),
        (refused("InternalFailure", status=500), TransientServiceError),
        (refused("SlowDown", status=503), TransientServiceError),
        (EndpointConnectionError(endpoint_url="https://nowhere"), TransientServiceError),
        (refused("ExpiredTokenException"), RefusedError),
        (refused("AccessDeniedException"), RefusedError),
        (NoCredentialsError(), RefusedError),
        (refused("ValidationException", "Requested resource not found."), NotFoundError),
        (refused("ValidationException", 'Could not find endpoint "arn:…".'), NotFoundError),
        (refused("NoSuchKey", status=404), NotFoundError),
        (refused("ValidationException", 'Cannot create already existing model "arn:…".'), TakenError),
        (refused("ResourceInUse", "Training job names must be unique within an AWS account"), TakenError),
        (refused("ValidationException", "1 validation error detected"), ServiceError),
        (refused("ResourceLimitExceeded", "1 Instances"), ServiceError),
    ],
)
def test_error_of_the_sdk_is_the_platforms(error: Exception, kind: type[PlatformError]) -> None:
    assert type(told(error)) is kind


def test_refused_credentials_are_told_with_the_call_that_needs_them() -> None:
    found = str(told(refused("ExpiredTokenException", "The security token included in the request is expired")))
    assert "CreateTrainingJob is refused by Amazon Web Services with ExpiredTokenException" in found
    assert "may CreateTrainingJob" in found


def test_missing_sdk_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    with pytest.raises(BindingError, match=r"pip install -e '.\[aws\]'"):
        sdk.client("s3", "eu-central-1")
