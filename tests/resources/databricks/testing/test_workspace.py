from __future__ import annotations

import httpx
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InternalError, NotFound, PermissionDenied

from ml_platform.testing.stand_in import Cloud


def get(cloud: Cloud, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{cloud.environment['DATABRICKS_HOST']}{path}", headers=headers, trust_env=False)


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [("", 401, "UNAUTHENTICATED"), ("Basic abc", 401, "UNAUTHENTICATED"), ("Bearer x", 403, "PERMISSION_DENIED")],
)
def test_who_is_not_known_is_refused(cloud: Cloud, authorization: str, status: int, code: str) -> None:
    answer = get(cloud, "/api/2.1/unity-catalog/catalogs", Authorization=authorization)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/2.0/nothing"), ("PATCH", "/api/2.2/jobs/runs/get")])
def test_an_operation_that_is_not_here_is_refused(client: WorkspaceClient, method: str, path: str) -> None:
    with pytest.raises(NotFound, match="No API found for") as refused:
        client.api_client.do(method, path)
    assert refused.value.error_code == "ENDPOINT_NOT_FOUND"


def test_a_body_that_is_no_json_is_refused(cloud: Cloud) -> None:
    answer = httpx.post(
        f"{cloud.environment['DATABRICKS_HOST']}/api/2.2/jobs/runs/cancel",
        content=b"{",
        headers={"Authorization": f"Bearer {cloud.environment['DATABRICKS_TOKEN']}"},
        trust_env=False,
    )
    assert (answer.status_code, answer.json()["error_code"]) == (400, "MALFORMED_REQUEST")


def test_faults_come_as_often_as_they_were_told_to(client: WorkspaceClient, cloud: Cloud) -> None:
    cloud.inject("broken", 1)
    with pytest.raises(InternalError):
        client.catalogs.get("ml")
    cloud.inject("expired", 1)
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        client.catalogs.get("ml")
    cloud.inject("throttled", 1)
    assert client.catalogs.get("ml").name == "ml"  # the SDK asks again


def test_a_fault_that_there_is_not_is_refused(cloud: Cloud) -> None:
    answer = httpx.put(f"{cloud.environment['DATABRICKS_HOST']}/__faults/earthquake/1", trust_env=False)
    assert answer.json()["message"] == "no such fault: earthquake"
