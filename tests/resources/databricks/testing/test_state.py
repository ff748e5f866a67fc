from __future__ import annotations

from pathlib import Path

import pytest

from resources.aws.testing.s3 import S3
from resources.databricks.testing.protocol import ApiError
from resources.databricks.testing.state import JOB_TOKEN, State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path, S3({}, {}))


def test_a_containers_secrets_are_resolved_and_nothing_else_is_there(state: State) -> None:
    given = {"DATABRICKS_TOKEN": "{{secrets/ml_platform/token}}", "PLAIN": "{x}"}
    environment = state.environment(given)
    assert environment == {
        "DATABRICKS_TOKEN": JOB_TOKEN,
        "PLAIN": "{x}",
        "ML_PLATFORM_VOLUMES": str(state.volumes),
    }


def test_a_secret_that_is_not_there_is_told(state: State) -> None:
    with pytest.raises(ApiError, match="Secret does not exist with scope: ml_platform and key: nothing"):
        state.environment({"A": "{{secrets/ml_platform/nothing}}"})


def test_no_two_credentials_are_alike(state: State) -> None:
    first, second = (state.lend("s3://lake/a/", write=False) for _ in range(2))
    assert first.access_key_id != second.access_key_id
    assert first.session_token != second.session_token
    assert first.prefix == "lake/a"
    assert state.grants == {first.access_key_id: first, second.access_key_id: second}
