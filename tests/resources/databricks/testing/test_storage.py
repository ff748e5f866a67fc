from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from databricks.sdk import WorkspaceClient

from ml_platform.testing.stand_in import Cloud
from resources.databricks.lending import PATH_CREDENTIALS

Lends = Callable[[str], Any]


@pytest.fixture
def lent(client: WorkspaceClient, cloud: Cloud, prefix: str) -> Lends:
    """An S3 client with the credentials for a path of the test's own."""

    def lend(operation: str = "PATH_READ_WRITE") -> Any:
        body = {"url": f"s3://lake/platform/{prefix}", "operation": operation}
        answer: Any = client.api_client.do("POST", PATH_CREDENTIALS, body=body)
        keys = answer["aws_temp_credentials"]
        return boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            aws_session_token=keys["session_token"],
        )

    return lend


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as error:
        call()
    return str(error.value.response["Error"]["Code"])


def test_what_was_lent_opens_its_path_and_no_other(lent: Lends, prefix: str) -> None:
    s3 = lent()
    s3.put_object(Bucket="lake", Key=f"platform/{prefix}/a b+ü", Body=b"1")
    assert s3.get_object(Bucket="lake", Key=f"platform/{prefix}/a b+ü")["Body"].read() == b"1"
    listed = s3.list_objects_v2(Bucket="lake", Prefix=f"platform/{prefix}/")
    assert [item["Key"] for item in listed["Contents"]] == [f"platform/{prefix}/a b+ü"]
    assert s3.head_object(Bucket="lake", Key=f"platform/{prefix}/a b+ü")["ContentLength"] == 1
    assert refused(lambda: s3.put_object(Bucket="lake", Key="platform/other", Body=b"1")) == "AccessDenied"
    assert refused(lambda: s3.get_object(Bucket="lake", Key=f"platform/{prefix}-2/a")) == "AccessDenied"
    assert refused(lambda: s3.list_objects_v2(Bucket="lake", Prefix="platform/")) == "AccessDenied"
    assert refused(lambda: s3.list_objects_v2(Bucket="lake")) == "AccessDenied"


def test_what_was_lent_for_reading_does_not_write(lent: Lends, prefix: str) -> None:
    lent().put_object(Bucket="lake", Key=f"platform/{prefix}/a", Body=b"1")
    reader = lent("PATH_READ")
    assert reader.get_object(Bucket="lake", Key=f"platform/{prefix}/a")["Body"].read() == b"1"
    assert refused(lambda: reader.put_object(Bucket="lake", Key=f"platform/{prefix}/a", Body=b"2")) == "AccessDenied"


def test_what_was_lent_ends(lent: Lends, prefix: str, lifetime: Callable[[float], None]) -> None:
    lifetime(0.0)
    s3 = lent()
    assert refused(lambda: s3.put_object(Bucket="lake", Key=f"platform/{prefix}/a", Body=b"1")) == "ExpiredToken"


def test_a_key_that_nobody_lent_opens_nothing(cloud: Cloud) -> None:
    keys = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
    s3 = boto3.client("s3", region_name="us-east-1", **keys)
    assert refused(lambda: s3.get_object(Bucket="lake", Key="platform/a")) == "InvalidAccessKeyId"
