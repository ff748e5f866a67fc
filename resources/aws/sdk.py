"""Amazon's SDK at its edge: clients that find their own credentials, and its errors in the platform's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ml_platform.errors import NotFoundError, RefusedError, ServiceError, TransientServiceError, missing_extra

# The tag by which what an environment made is known; its value is the environment's prefix.
ENVIRONMENT = "ml_platform_environment"
_TRIES = 5
_PASSING = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceUnavailable|ModelNotReady|Timeout")
_REFUSED = re.compile(
    r"AccessDenied|Expired|InvalidClientTokenId|InvalidAccessKeyId|Unrecognized|Signature|AuthFailure"
)
_ABSENT = re.compile(r"NotFound|NoSuch|^404$")
_ABSENT_IN_WORDS = re.compile(r"Could not find|not found|does not exist", re.IGNORECASE)
_TAKEN_IN_WORDS = re.compile(r"already existing|must be unique", re.IGNORECASE)


class TakenError(ServiceError):
    """The name stands for something already."""


def client(service: str, region: str) -> Any:
    """The client of a service, which tries again, with growing pauses, where it is throttled or the service fails.

    Credentials and endpoints are what the SDK finds in the environment of the process.
    Raises BindingError with the line that installs the SDK where it is missing.
    """
    try:
        from boto3.session import Session
        from botocore.config import Config
    except ImportError as error:
        raise missing_extra("aws", error) from error
    retries = {"mode": "standard", "total_max_attempts": _TRIES}
    with told():
        return Session(region_name=region).client(service, config=Config(retries=retries))


@contextmanager
def told() -> Iterator[None]:
    """What the SDK raises inside is raised as the platform's error, with the call and the permission that it needs."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        raise _of_answer(error) from error
    except (ConnectionError, HTTPClientError) as error:
        raise TransientServiceError(f"Amazon Web Services does not answer, but is needed: {error}") from error
    except NoCredentialsError as error:
        raise RefusedError(
            "no credentials for Amazon Web Services are found, but every call needs them",
            allowed="They come from the environment of the process, as Amazon's SDK finds them",
            remedy="Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached",
        ) from error
    except BotoCoreError as error:
        raise ServiceError(f"a call to Amazon Web Services could not be made: {error}") from error


def call(service: Any, operation: str, **request: Any) -> dict[str, Any]:
    """The answer to one call, its errors told. operation: as the client spells it, for instance `create_model`."""
    with told():
        answer: dict[str, Any] = getattr(service, operation)(**request)
    return answer


def tags(sagemaker: Any, arn: str) -> dict[str, str]:
    """The tags of a resource of SageMaker."""
    with told():
        pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}


def _of_answer(error: Any) -> ServiceError | NotFoundError:
    """The platform's error for an answer that is none."""
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{error.operation_name} is refused by Amazon Web Services with {code}, but is needed: {message}"
    if _REFUSED.search(code):
        return RefusedError(
            said,
            allowed=f"It takes credentials that are valid now and may {error.operation_name}",
            remedy="Renew the credentials, or add the permission to their role",
        )
    if _PASSING.search(code) or status >= 500:
        return TransientServiceError(said, remedy="Try again in a while")
    if _TAKEN_IN_WORDS.search(message):
        return TakenError(said)
    if _ABSENT.search(code) or (code.startswith("Validation") and _ABSENT_IN_WORDS.search(message)):
        return NotFoundError(said)
    return ServiceError(said)
