from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_platform import binding
from ml_platform.binding import Binding
from ml_platform.engine.files import filesystem
from ml_platform.engine.landed import paths
from ml_platform.engine.landing import land
from ml_platform.errors import SourceError
from ml_platform.testing.compute import ComputeContract
from ml_platform.testing.concurrent_writers import ConcurrentWritersContract
from ml_platform.testing.lakehouse import LakehouseContract
from ml_platform.testing.landing import ObjectStoreLandingContract
from resources.aws.lakehouse import AwsLakehouse, reached
from resources.aws.sdk import client
from resources.embedded.compute import EmbeddedCompute


@pytest.fixture
def lakehouse(place: dict[str, str]) -> AwsLakehouse:
    return AwsLakehouse(**place)


class TestAwsLakehouse(LakehouseContract):
    @pytest.fixture
    def lakehouse(self, lakehouse: AwsLakehouse) -> AwsLakehouse:
        return lakehouse


class TestEmbeddedComputeOverAwsLakehouse(ComputeContract):
    @pytest.fixture
    def compute(self, tmp_path: Path) -> EmbeddedCompute:
        return EmbeddedCompute(cache=str(tmp_path / "cache"))

    @pytest.fixture
    def lakehouse(self, lakehouse: AwsLakehouse) -> AwsLakehouse:
        return lakehouse


class TestLandingFromAmazonS3(ObjectStoreLandingContract):
    @pytest.fixture
    def lakehouse(self, lakehouse: AwsLakehouse) -> AwsLakehouse:
        return lakehouse

    @pytest.fixture
    def origin(self, place: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
        # Without a lakehouse in it, the store is where the process's environment says.
        for name, value in reached().items():
            monkeypatch.setenv(name.upper(), value)
        return f"s3://{place['bucket']}/{place['prefix']}-dropped"


@pytest.fixture
def dropped(place: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], str]:
    """Puts an object that no file system would write; the folder's URI."""
    for name, value in reached().items():
        monkeypatch.setenv(name.upper(), value)
    folder = f"{place['prefix']}-odd"

    def put(name: str, content: bytes) -> str:
        store = client("s3", place["region"])
        store.put_object(Bucket=place["bucket"], Key=f"{folder}/{name}", Body=content)
        return f"s3://{place['bucket']}/{folder}"

    return put


def test_what_a_console_makes_for_a_folder_is_no_file(
    dropped: Callable[[str, bytes], str], lakehouse: AwsLakehouse
) -> None:
    for name in ("", "sub/", "alone/"):
        origin = dropped(name, b"")
    dropped("sub/a.csv", b"n\n1\n")
    dropped("empty.csv", b"")
    assert land("landing/odd", origin, "**", lakehouse).written == 2
    assert paths(filesystem(lakehouse.files("landing/odd"))) == ["empty.csv", "sub/a.csv"]


@pytest.mark.parametrize("name", ["x//y.csv", "../z.csv"])
def test_a_name_that_is_no_path_is_told_with_its_origin(
    dropped: Callable[[str, bytes], str], lakehouse: AwsLakehouse, name: str
) -> None:
    origin = dropped(name, b"n\n1\n")
    with pytest.raises(SourceError, match=rf"landing/odd brings files from {origin}, but they cannot be listed: .*"):
        land("landing/odd", origin, "**", lakehouse)
    # where it lies in no folder that the pattern goes through, it is nobody's matter
    dropped("orders/a.csv", b"n\n1\n")
    assert land("landing/odd", origin, "orders/*.csv", lakehouse).written == 1
    assert paths(filesystem(lakehouse.files("landing/odd"))) == ["orders/a.csv"]


@pytest.fixture
def bound(place: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Binding:
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE", "aws")
    for name, value in place.items():
        monkeypatch.setenv(f"ML_PLATFORM_LAKEHOUSE__{name.upper()}", value)
    return binding.binding("lakehouse")


@pytest.mark.usefixtures("bound")
class TestConcurrentWritersOverAwsLakehouse(ConcurrentWritersContract):
    pass


def test_no_credential_is_a_setting(lakehouse: AwsLakehouse) -> None:
    found = [*lakehouse.table("a/b").storage_options, *inspect.signature(AwsLakehouse).parameters]
    assert not [name for name in found if "secret" in name or "key" in name or "token" in name]


def test_store_is_where_amazons_sdk_would_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"bucket": "bucket", "prefix": "dev", "region": "eu-central-1"}
    assert AwsLakehouse(**place).table("a").storage_options == {
        "aws_region": "eu-central-1",
        "aws_conditional_put": "etag",
    }
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    found = AwsLakehouse(**place).table("a").storage_options
    assert (found["aws_endpoint_url"], found["aws_allow_http"]) == ("http://127.0.0.1:1", "true")
    assert AwsLakehouse(**place, endpoint_url="https://minio").files("a").storage_options["aws_endpoint_url"] == (
        "https://minio"
    )
