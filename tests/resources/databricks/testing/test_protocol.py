from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from databricks.sdk.service.jobs import JobsAPI

from resources.databricks.testing.protocol import ApiError, check

CLUSTER = {"spark_version": "16.4.x-scala2.12", "num_workers": 0, "data_security_mode": "SINGLE_USER"}
TASK = {"task_key": "job", "new_cluster": CLUSTER, "spark_python_task": {"python_file": "/a.py", "parameters": ["x"]}}


def submit(**fields: Any) -> None:
    check({"run_name": "a", "tasks": [TASK], **fields}, get_type_hints(JobsAPI.submit))


def test_what_the_sdk_sends_is_taken() -> None:
    submit(timeout_seconds=60, idempotency_token="a" * 64)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nmae": "a"}, "Unknown field: nmae"),
        ({"tasks": [{**TASK, "pyhton": 1}]}, "Unknown field: tasks.pyhton"),
        ({"tasks": [{**TASK, "new_cluster": {**CLUSTER, "workers": 1}}]}, "Unknown field: tasks.new_cluster.workers"),
        ({"tasks": [{"description": "x"}]}, "Missing required field: tasks.task_key"),
        (
            {"tasks": [{**TASK, "new_cluster": {"data_security_mode": "NONESUCH"}}]},
            "Invalid value for tasks.new_cluster.data_security_mode: 'NONESUCH'",
        ),
        ({"timeout_seconds": "60"}, "Expected timeout_seconds to be int, got str"),
        ({"timeout_seconds": True}, "Expected timeout_seconds to be int, got bool"),
        ({"tasks": TASK}, "Expected tasks to be list, got dict"),
        (
            {"tasks": [{**TASK, "spark_python_task": {"python_file": 1}}]},
            "Expected tasks.spark_python_task.python_file",
        ),
    ],
)
def test_what_the_sdk_does_not_know_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        submit(**fields)
    assert str(refused.value).startswith(message)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_PARAMETER_VALUE")
