from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials

from ml_platform.testing.stand_in import Cloud
from resources.gcp.testing.vertex import vertex as stand_in_of

REFUSALS = [
    ("throttled", 429, "RESOURCE_EXHAUSTED"),
    ("broken", 500, "INTERNAL"),
    ("expired", 401, "UNAUTHENTICATED"),
]


@pytest.fixture
def sdk(stood_in: Cloud) -> Any:
    from google.cloud import aiplatform

    aiplatform.init(
        project="nobodys-project",
        location="us-central1",
        api_endpoint=stood_in.environment["ML_PLATFORM_JOB_RUNNER__API_ENDPOINT"],
        api_transport="rest",
        credentials=AnonymousCredentials(),
        staging_bucket=f"gs://{stood_in.environment['ML_PLATFORM_GCP_BUCKET']}",
    )
    return aiplatform


@pytest.mark.parametrize(("fault", "status", "code"), REFUSALS)
def test_a_fault_comes_as_often_as_it_was_asked_for(
    raw: httpx.Client, stood_in: Cloud, fault: Any, status: int, code: str
) -> None:
    stood_in.inject(fault, 1)
    answer = raw.get("/endpoints")
    assert (answer.status_code, answer.json()["error"]["status"]) == (status, code)
    assert raw.get("/endpoints").status_code == 200


def test_the_sdks_own_job_runs_unpatched(sdk: Any) -> None:
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "image", "command": ["python", "-m", "platform"]},
    }
    job = sdk.CustomJob(display_name="mine", worker_pool_specs=[pool], labels={"owner": "me"})
    job.submit()
    deadline = time.monotonic() + 30
    while job.state.name != "JOB_STATE_SUCCEEDED" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    assert [found.resource_name for found in sdk.CustomJob.list(filter="labels.owner=me")] == [job.resource_name]


def test_the_sdks_own_models_and_endpoints_work_unpatched(sdk: Any) -> None:
    model = sdk.Model.upload(display_name="mine", serving_container_image_uri="image", artifact_uri="gs://shelf/m")
    endpoint = sdk.Endpoint.create(display_name="mine", labels={"owner": "me"})
    assert [found.resource_name for found in sdk.Endpoint.list(filter="labels.owner=me")] == [endpoint.resource_name]
    with pytest.raises(Exception, match="is not found in the image"):
        model.deploy(endpoint, machine_type="n1-standard-4")
    assert endpoint.list_models() == []
    endpoint.delete()
    model.delete()
    assert sdk.Endpoint.list(filter="labels.owner=me") == []


def test_the_stand_in_has_ended_afterwards_and_what_it_was_told_is_kept(tmp_path: Path) -> None:
    with stand_in_of("http://127.0.0.1:9", str(tmp_path)) as address:
        assert httpx.get(f"{address}/v1/projects/p/locations/l/endpoints").status_code == 200
    (heard,) = tmp_path.iterdir()
    assert heard.name == "000001-.v1.projects.p.locations.l.endpoints"
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
