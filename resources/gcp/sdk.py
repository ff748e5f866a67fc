"""Google's SDKs at their edge: clients that find their own credentials, and their errors in the platform's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from ml_platform.errors import (
    NotFoundError,
    PlatformError,
    RefusedError,
    ServiceError,
    TransientServiceError,
    missing_extra,
)

_CALL_SECONDS = 60.0
_TRY_SECONDS = 20.0  # in which a call that is throttled, or that the service fails at, is made again


class TakenError(ServiceError):
    """The name stands for something already."""


def storage() -> Any:
    """A client of Cloud Storage that needs no more than Google's SDK, which is all that servers have."""
    try:
        from google.cloud.storage import Client
    except ImportError as error:
        raise missing_extra("gcp", error) from error
    # Objects belong to buckets; a project is for making those.
    return Client(project=None)


def dagster_storage() -> Any:
    """The client that dagster-gcp makes of its resource, for adapters that a Dagster process calls."""
    try:
        from dagster_gcp import GCSResource
    except ImportError as error:
        raise missing_extra("gcp", error) from error
    return GCSResource().get_client()


class Vertex:
    """Clients of Vertex AI over REST, each made with its first use.

    project, region: where resources are. api_endpoint: of another address than Google's; empty for Google's own. One of
    plain http is a stand-in and is shown no credentials; else they are what Google's SDK finds in the environment.
    """

    def __init__(self, project: str, region: str, api_endpoint: str = "") -> None:
        self._api_endpoint = api_endpoint or f"https://{region}-aiplatform.googleapis.com"
        self.parent = f"projects/{project}/locations/{region}"

    @cached_property
    def jobs(self) -> Any:
        """The client of jobs."""
        return self._client("JobServiceClient")

    @cached_property
    def models(self) -> Any:
        """The client of models."""
        return self._client("ModelServiceClient")

    @cached_property
    def endpoints(self) -> Any:
        """The client of endpoints."""
        return self._client("EndpointServiceClient")

    @cached_property
    def predictions(self) -> Any:
        """The client of predictions."""
        return self._client("PredictionServiceClient")

    def _client(self, name: str) -> Any:
        try:
            from google.cloud import aiplatform_v1
        except ImportError as error:
            raise missing_extra("gcp", error) from error
        from google.auth.credentials import AnonymousCredentials

        credentials = AnonymousCredentials() if self._api_endpoint.startswith("http://") else None
        with told("aiplatform"):
            return getattr(aiplatform_v1, name)(
                transport="rest", credentials=credentials, client_options={"api_endpoint": self._api_endpoint}
            )


def call(permission: str, method: Callable[..., Any], request: Any = None, **fields: Any) -> Any:
    """The answer to one call that may be made twice, tried again while it is throttled or the service fails.

    permission: what the caller's account needs for it. request: the SDK's own; without one it is made of the fields.
    """
    with told(permission):
        return method(request=request or fields, retry=tries(), timeout=_CALL_SECONDS)


def called_once(method: Callable[..., Any], **request: Any) -> Any:
    """The answer to one call, which is not tried again, its error as it is."""
    return method(request=request, retry=None, timeout=_CALL_SECONDS)


def tries() -> Any:
    """What makes a call again, with growing pauses, while it is throttled, fails at the service or finds no network."""
    from google.api_core import retry

    return retry.Retry(retry.if_transient_error, initial=0.2, maximum=5.0, timeout=_TRY_SECONDS)


def done(permission: str, operation: Any, poll_seconds: float, seconds: float) -> Any:
    """What the long-running operation gives, once it is done. Raises ServiceError where it fails or takes longer."""
    from google.api_core import retry
    from google.api_core.future import polling

    polled = retry.Retry(polling.POLLING_PREDICATE, initial=poll_seconds, maximum=poll_seconds, timeout=seconds)
    with told(permission):
        return operation.result(retry=tries(), polling=polled)


@contextmanager
def told(permission: str) -> Iterator[None]:
    """What the SDKs raise inside is raised as the platform's error, with the permission that the call needs."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.auth.transport.requests import requests

    try:
        yield
    except GoogleAPICallError as error:
        raise _of_answer(permission, error) from error
    except RetryError as error:
        raise _passing(permission, error.cause or error) from error
    except (TransportError, requests.ConnectionError, requests.Timeout) as error:
        raise _passing(permission, error) from error
    except GoogleAuthError as error:
        raise _refused(permission, error) from error
    except TimeoutError as error:
        raise ServiceError(f"{permission} has not ended in time, but something waits for it: {error}") from error


def _of_answer(permission: str, error: Any) -> PlatformError:
    from google.api_core import exceptions

    if isinstance(error, exceptions.NotFound):
        return NotFoundError(f"{permission} is asked of something that Google Cloud does not have: {error.message}")
    if isinstance(error, exceptions.Unauthorized | exceptions.Forbidden):
        return _refused(permission, error)
    if isinstance(error, exceptions.TooManyRequests | exceptions.ServerError):
        return _passing(permission, error)
    if isinstance(error, exceptions.Conflict):
        return TakenError(f"{permission} is refused by Google Cloud, for the name is taken: {error.message}")
    return ServiceError(f"{permission} is refused by Google Cloud, but is needed: {error.message}")


def _passing(permission: str, error: BaseException) -> TransientServiceError:
    return TransientServiceError(
        f"{permission} fails at Google Cloud, but is needed: {error}", remedy="Try again in a while"
    )


def _refused(permission: str, error: Exception) -> RefusedError:
    return RefusedError(
        f"{permission} is refused by Google Cloud, but is needed: {error}",
        allowed=f"It takes credentials that are valid now and have the permission {permission}",
        remedy="Renew them (gcloud auth application-default login), or grant the permission to their account",
    )
