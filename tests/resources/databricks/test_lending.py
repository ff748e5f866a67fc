from __future__ import annotations

import pytest

from ml_platform.errors import ServiceError
from resources.databricks.lending import deltalake_options


def test_what_is_lent_is_spelled_as_deltalake_has_it() -> None:
    lent = {"access_key_id": "a", "secret_access_key": "b", "session_token": "c", "access_point": ""}
    assert deltalake_options({"aws_temp_credentials": lent}) == {
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
        "aws_session_token": "c",
    }


def test_credentials_of_another_cloud_are_refused() -> None:
    with pytest.raises(ServiceError, match="only those of Amazon S3 are understood"):
        deltalake_options({"gcp_oauth_token": {"oauth_token": "a"}})
