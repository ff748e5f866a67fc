"""A Databricks workspace as its services call it: one client, short outages sat out, errors in the platform's words."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ml_platform.errors import (
    BindingError,
    NotFoundError,
    RefusedError,
    ServiceError,
    TransientServiceError,
    missing_extra,
)

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

T = TypeVar("T")

_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.2
_RETRY_TIMEOUT_SECONDS = 60


class Workspace:
    """The workspace that the process's environment names (`DATABRICKS_HOST` and credentials, as the SDK finds them)."""

    @cached_property
    def client(self) -> WorkspaceClient:
        """The SDK's client. Raises BindingError where there is no SDK, or no workspace is named."""
        try:
            from databricks.sdk import WorkspaceClient
            from databricks.sdk.config import Config
        except ImportError as error:
            raise missing_extra("databricks", error) from error
        try:
            return WorkspaceClient(config=Config(retry_timeout_seconds=_RETRY_TIMEOUT_SECONDS))
        except ValueError as error:
            raise BindingError(
                "no Databricks workspace can be reached from here, but a service of it is bound",
                allowed="Looked in DATABRICKS_HOST, DATABRICKS_TOKEN and the SDK's other places",
                remedy="Set them in the environment",
            ) from error

    def ask(self, what: str, permission: str, call: Callable[[WorkspaceClient], T]) -> T:
        """The answer of an idempotent call; the SDK sits out throttling, and failures of the service are tried again.

        what: the call, for people, for instance `runs/submit of train-1`. permission: what it takes.
        Raises NotFoundError, TransientServiceError, and ServiceError for the rest.
        """
        from databricks.sdk.errors import DeadlineExceeded, InternalError, TemporarilyUnavailable
        from databricks.sdk.errors.base import DatabricksError

        client = self.client
        for attempt in range(_ATTEMPTS):
            try:
                return call(client)
            except (DeadlineExceeded, InternalError, TemporarilyUnavailable) as error:
                if attempt == _ATTEMPTS - 1:
                    raise _transient(what, error) from error
                time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
            except TimeoutError as error:
                raise _transient(what, error) from error
            except DatabricksError as error:
                raise translated(what, permission, error) from error
        raise AssertionError("the last attempt returns or raises")

    def do(self, method: str, path: str, permission: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of a call that this SDK has no method for."""
        answer = self.ask(path, permission, lambda client: client.api_client.do(method, path, body=body))
        return dict(answer) if isinstance(answer, dict) else {}


def translated(what: str, permission: str, error: Exception) -> ServiceError | NotFoundError:
    """The SDK's error in the platform's words."""
    from databricks.sdk.errors import NotFound, PermissionDenied, TooManyRequests, Unauthenticated

    if isinstance(error, NotFound):
        return NotFoundError(f"{what} is asked for, but Databricks does not have it ({error})")
    if isinstance(error, TooManyRequests):
        return _transient(what, error)
    if isinstance(error, Unauthenticated | PermissionDenied):
        return RefusedError(
            f"{what} is refused by Databricks, but is needed ({error})",
            allowed=f"It takes credentials that have not expired and {permission}",
            remedy="Renew the credentials, or ask the workspace's administrator for the grant",
        )
    return ServiceError(f"{what} is asked of Databricks, but failed ({error})")


def _transient(what: str, error: Exception) -> TransientServiceError:
    return TransientServiceError(
        f"{what} is asked of Databricks, but the service is not answering it now ({error})", remedy="Try again later"
    )
