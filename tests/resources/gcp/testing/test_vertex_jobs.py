from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions

from resources.gcp.sdk import Vertex


def created(vertex: Vertex, job: dict[str, Any]) -> str:
    return str(vertex.jobs.create_custom_job(parent=vertex.parent, custom_job=job).name)


def ended(vertex: Vertex, name: str) -> tuple[Any, list[str]]:
    """The job once it has ended, and the states that it went through."""
    states: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job = vertex.jobs.get_custom_job(name=name)
        states += [job.state.name] if job.state.name not in states else []
        if job.end_time:
            return job, states
        time.sleep(0.01)
    raise AssertionError(f"{name} is still {states}")


def running(vertex: Vertex, name: str) -> None:
    while vertex.jobs.get_custom_job(name=name).state.name != "JOB_STATE_RUNNING":
        time.sleep(0.02)


def test_a_job_goes_through_its_states(vertex: Vertex, make_job: Any) -> None:
    job, states = ended(vertex, created(vertex, make_job("platform")))
    wanted = ["JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]
    assert states == wanted
    assert job.create_time <= job.start_time <= job.end_time


def test_a_job_sees_nothing_of_its_callers_files(vertex: Vertex, make_job: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text("{}")
    job, _ = ended(vertex, created(vertex, make_job("json.tool", str(mine))))
    assert job.state.name == "JOB_STATE_FAILED"
    assert job.error.message.startswith("The replica workerpool0-0 exited with a non-zero status of ")
    # what its own folder holds, it sees
    job, _ = ended(vertex, created(vertex, make_job("json.tool", "service_account.json")))
    assert job.state.name == "JOB_STATE_SUCCEEDED"


def test_a_cancelled_job_ends_and_is_not_cancelled_twice(vertex: Vertex, make_job: Any) -> None:
    name = created(vertex, make_job("http.server", "0"))
    running(vertex, name)
    vertex.jobs.cancel_custom_job(name=name)
    job, _ = ended(vertex, name)
    assert job.state.name == "JOB_STATE_CANCELLED"
    with pytest.raises(exceptions.BadRequest, match="has ended"):
        vertex.jobs.cancel_custom_job(name=name)


def test_a_job_is_ended_at_its_timeout(vertex: Vertex, make_job: Any) -> None:
    job, _ = ended(vertex, created(vertex, make_job("http.server", "0", scheduling={"timeout": {"seconds": 1}})))
    assert job.state.name == "JOB_STATE_FAILED"
    assert "longer than its timeout of 1s" in job.error.message


def test_a_killed_job_has_the_exit_code_of_its_signal(vertex: Vertex, make_job: Any, stood_in: Any) -> None:
    stood_in.inject("job_dies", 1)
    job, _ = ended(vertex, created(vertex, make_job("http.server", "0")))
    assert "non-zero status of 137" in job.error.message


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ({"machine_spec": {"machine_type": "small"}}, "Machine type 'small' is not supported"),
        ({"container_spec": {"image_uri": ""}}, "image_uri must not be empty"),
        ({"replica_count": 2}, "one worker pool, replica and container"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(vertex: Vertex, make_job: Any, pool: dict[str, Any], message: str) -> None:
    job = make_job("platform")
    job["job_spec"]["worker_pool_specs"][0].update(pool)
    with pytest.raises(exceptions.GoogleAPICallError, match=message):
        created(vertex, job)


def test_a_command_that_the_image_has_not_fails_the_job(vertex: Vertex, make_job: Any) -> None:
    job = make_job()
    job["job_spec"]["worker_pool_specs"][0]["container_spec"]["command"] = ["java"]
    assert "is not found in the image" in ended(vertex, created(vertex, job))[0].error.message
