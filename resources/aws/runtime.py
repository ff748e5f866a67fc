"""SageMaker's runtime: one request to what serves, and its answer in the platform's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from ml_platform.errors import NotFoundError, ServiceError, TransientServiceError
from resources.aws import sdk

DESCRIBE = {"describe": True}


class Runtime:
    """Asks servers."""

    def __init__(self, region: str) -> None:
        self._region = region

    def asked(self, name: str, request: Mapping[str, Any], **target: str) -> dict[str, Any]:
        """The answer of one server. name: of the endpoint, for errors; target: the fields that name the server.

        Raises NotFoundError where nothing serves, ServiceError with the server's own words where they are no answer.
        """
        from botocore.exceptions import ClientError

        try:
            with sdk.told():
                try:
                    answer = self._client.invoke_endpoint(
                        **target, Body=json.dumps(request), ContentType="application/json"
                    )
                except ClientError as error:
                    if error.response["Error"]["Code"] == "ModelError":
                        raise _refused(name, error.response) from error
                    raise
                found: dict[str, Any] = json.loads(answer["Body"].read())
        except NotFoundError as error:
            raise not_served(name) from error
        return found

    def url(self, sagemaker_name: str) -> str:
        """Where requests to an endpoint of SageMaker go."""
        return f"{self._client.meta.endpoint_url}/endpoints/{sagemaker_name}/invocations"

    @cached_property
    def _client(self) -> Any:
        return sdk.client("sagemaker-runtime", self._region)


def not_served(name: str) -> NotFoundError:
    """The error for a request to what is not there."""
    return NotFoundError(
        f"endpoint {name} is not served, but a request was made to it", remedy=f"Materialize endpoints/{name}"
    )


def _refused(name: str, response: Mapping[str, Any]) -> ServiceError:
    """The error for an answer of the container itself that is none."""
    status, text = response.get("OriginalStatusCode", 0), response.get("OriginalMessage", "")
    try:
        said = json.loads(text)["error"]
    except (ValueError, TypeError, KeyError):
        said = text
    kind = TransientServiceError if status == 503 else ServiceError
    return kind(f"the answer of endpoint {name} is {status}, but not a prediction: {said}")
