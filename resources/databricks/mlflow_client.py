"""Managed MLflow of the workspace that the environment names, with its registry in Unity Catalog."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Any

from ml_platform.errors import ServiceError, TransientServiceError, missing_extra
from resources.databricks.unity_catalog import ENVIRONMENT
from resources.databricks.workspace import Workspace
from resources.mlflow.sdk import import_mlflow, translated

TRACKING, REGISTRY = "databricks", "databricks-uc"
_PERMISSIONS = (
    "It takes credentials that have not expired, CAN EDIT on the experiments' folder, USE CATALOG, USE SCHEMA, "
    "CREATE MODEL and CREATE MODEL VERSION on the schema, and EXECUTE and APPLY TAG on the model"
)
# MLflow's own retries stand in front of ours; by default they would go on for minutes.
_RETRIES = "4"
_ONE_AT_A_TIME = RLock()


@contextmanager
def mlflow_client(subject: str) -> Iterator[Any]:
    """MLflow's client; its errors inside, and those of the object store that it talks to, are the platform's outside.

    subject: what is asked for, for errors.
    """
    # Names what is missing, SDK or workspace, before MLflow falls back to other ways and tells of those.
    Workspace().client  # noqa: B018
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES)
    import_mlflow()
    with translated(subject, _PERMISSIONS), _stored(subject), _tracked():
        from mlflow import MlflowClient

        yield MlflowClient(tracking_uri=TRACKING, registry_uri=REGISTRY)


@contextmanager
def _tracked() -> Iterator[None]:
    """Inside, the process's tracking URI is the workspace's: MLflow asks for it even where its client has one."""
    from mlflow.tracking._tracking_service.utils import _use_tracking_uri

    with _ONE_AT_A_TIME, _use_tracking_uri(TRACKING):
        yield


@contextmanager
def _stored(subject: str) -> Iterator[None]:
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from requests import RequestException
    except ImportError as error:
        raise missing_extra("databricks", error) from error

    try:
        yield
    except (Boto3Error, ClientError) as error:
        raise ServiceError(f"{subject} has its files in an object store, but that refused: {error}") from error
    except (BotoCoreError, RequestException) as error:
        raise TransientServiceError(
            f"{subject} is asked for, but its service does not answer ({type(error).__name__})",
            remedy="Try again later",
        ) from error


def owned(client: Any, full: str, environment: str) -> Any:
    """The registered model of that full name; None where there is none. Raises ServiceError for somebody else's."""
    from mlflow.exceptions import RestException

    try:
        model = client.get_registered_model(full)
    except RestException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    require_ours(f"model {full}", model.tags, environment)
    return model


def adopted(client: Any, full: str, environment: str) -> None:
    """The registered model stands, and is ours."""
    if owned(client, full, environment) is None:
        client.create_registered_model(full, tags={ENVIRONMENT: environment})


def registered(client: Any) -> list[str]:
    """The full names of all models that can be seen, somebody else's too."""
    names, token = [], None
    while token is None or token:
        page = client.search_registered_models(page_token=token)
        names += [str(model.name) for model in page]
        token = page.token or ""
    return names


def ready_versions(client: Any, full: str) -> list[int]:
    """The numbers of the model's versions whose files are whole, ascending; the model has to stand."""
    numbers, token = [], None
    while token is None or token:
        page = client.search_model_versions(f"name='{full}'", page_token=token)
        numbers += [int(version.version) for version in page if version.status == "READY"]
        token = page.token or ""
    return sorted(numbers)


def is_ours(tags: Mapping[str, str], environment: str) -> bool:
    """Whether this carries our environment's tag."""
    return tags.get(ENVIRONMENT) == environment


def require_ours(subject: str, tags: Mapping[str, str], environment: str) -> None:
    """Returns for what carries our environment's tag; else raises ServiceError."""
    if not is_ours(tags, environment):
        raise ServiceError(
            f"{subject} is there, but it is somebody else's",
            allowed=f"Ours has the tag {ENVIRONMENT} = {environment}",
            remedy="Give the environment another name",
        )
