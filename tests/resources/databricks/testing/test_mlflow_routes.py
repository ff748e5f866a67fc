from __future__ import annotations

import httpx
import pytest

from ml_platform.testing.stand_in import Cloud


def asked(cloud: Cloud, method: str, path: str, **given: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {cloud.environment['DATABRICKS_TOKEN']}"}
    url = f"{cloud.environment['DATABRICKS_HOST']}/api/2.0/mlflow/{path}"
    return httpx.request(method, url, headers=headers, timeout=60, trust_env=False, **given)


def test_a_run_is_a_real_servers_and_its_artifacts_are_the_workspaces(workspace: Cloud, prefix: str) -> None:
    made = asked(workspace, "POST", "experiments/create", json={"name": f"/Shared/{prefix}"}).json()
    run = asked(workspace, "POST", "runs/create", json={"experiment_id": made["experiment_id"]}).json()["run"]["info"]
    found = asked(workspace, "GET", "runs/get", params={"run_id": run["run_id"]})
    assert found.json()["run"]["info"]["artifact_uri"].startswith("dbfs:/databricks/mlflow-tracking/")
    assert found.headers["x-databricks-org-id"]


@pytest.mark.parametrize("path", ["experiments/create", "unity-catalog/registered-models/create"])
def test_a_field_that_the_method_has_not_is_refused(workspace: Cloud, path: str) -> None:
    refused = asked(workspace, "POST", path, json={"name": "a.b.c", "colour": "red"})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "colour" in refused.json()["message"]


def test_a_route_that_the_service_has_not_is_not_found(workspace: Cloud) -> None:
    refused = asked(workspace, "POST", "registered-models/create", json={"name": "legacy"})
    assert (refused.status_code, refused.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_a_call_without_a_token_is_refused(workspace: Cloud) -> None:
    url = f"{workspace.environment['DATABRICKS_HOST']}/api/2.0/mlflow/experiments/create"
    assert httpx.post(url, json={"name": "x"}, trust_env=False).status_code == 401
