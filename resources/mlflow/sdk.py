"""MLflow as this platform imports it, and its errors as the platform's."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ml_platform.errors import ServiceError, TransientServiceError

# What importing MLflow warns of is about its own use of its own libraries: two messages, and nothing else is let by.
_OF_ITS_OWN = (".*Any type hint is inferred as AnyType", "The ``noload`` loader strategy is deprecated")
_PASSING = {"REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "RESOURCE_CONFLICT", "TEMPORARILY_UNAVAILABLE"}


def import_mlflow() -> None:
    """MLflow is imported; it sends no telemetry and prints no progress."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with warnings.catch_warnings():
        for message in _OF_ITS_OWN:
            warnings.filterwarnings("ignore", message=message)
        import mlflow.pyfunc
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    # Whoever imported it before us has set its level.
    logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])


@contextmanager
def translated(subject: str, remedy: str = "") -> Iterator[None]:
    """MLflow's errors inside are the platform's outside.

    remedy: what to do where the service refused who asks.
    """
    import_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        kind = TransientServiceError if _passes(error) else ServiceError
        refused = error.error_code in ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
        raise kind(
            f"{subject} is asked of MLflow, but it answered: {error.message}", remedy=remedy if refused else ""
        ) from error


def _passes(error: Exception) -> bool:
    """Whether the same call may pass later: throttled, or a 500 that a server, and not the client, has told of."""
    from mlflow.exceptions import RestException

    code = getattr(error, "error_code", "")
    return code in _PASSING or (code == "INTERNAL_ERROR" and isinstance(error, RestException))
