from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ml_platform.testing.stand_in import injector
from resources.aws.testing.s3 import S3, s3


def client_of(store: S3) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=store.settings["endpoint_url"],
        region_name=store.settings["region"],
        aws_access_key_id=store.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=store.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with s3("shelf") as store:
        client = client_of(store)
        yield client
        client.close()


def test_object_is_stored_and_listed(client: Any) -> None:
    client.put_object(Bucket="shelf", Key="a/b", Body=b"book")
    assert client.get_object(Bucket="shelf", Key="a/b")["Body"].read() == b"book"
    listed = client.list_objects_v2(Bucket="shelf", Prefix="a/")["Contents"]
    assert [found["Key"] for found in listed] == ["a/b"]


def test_of_many_that_create_one_object_at_once_one_does(client: Any) -> None:
    def create(number: int) -> int:
        try:
            client.put_object(Bucket="shelf", Key="once", Body=f"{number}".encode(), IfNoneMatch="*")
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(create, range(24)))
    assert answers == [200] + [412] * 23


def test_bucket_that_is_not_there_is_an_error(client: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.put_object(Bucket="others", Key="a", Body=b"")


def test_stand_in_has_ended_and_forgotten_everything_afterwards() -> None:
    with s3("shelf") as store:
        client = client_of(store)
        client.put_object(Bucket="shelf", Key="a", Body=b"book")
        client.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(store.settings["endpoint_url"])
    with s3("shelf") as store:
        client = client_of(store)
        assert client.list_objects_v2(Bucket="shelf")["KeyCount"] == 0
        client.close()


def test_faults_come_as_often_as_they_were_told_and_only_an_unanswered_write_is_done() -> None:
    with s3("shelf") as store:
        inject, client = injector("", store.settings["endpoint_url"]), client_of(store)
        for fault, code in (("store_throttled", "SlowDown"), ("store_broken", "InternalError")):
            inject(fault, 1)  # type: ignore[arg-type]
            with pytest.raises(ClientError, match=code):
                client.put_object(Bucket="shelf", Key="refused", Body=b"book", IfNoneMatch="*")
        inject("store_unanswered", 1)
        with pytest.raises(ClientError, match="InternalError"):
            client.put_object(Bucket="shelf", Key="written", Body=b"book", IfNoneMatch="*")
        listed = client.list_objects_v2(Bucket="shelf")["Contents"]
        assert [found["Key"] for found in listed] == ["written"]
        client.close()
