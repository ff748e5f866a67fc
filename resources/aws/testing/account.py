"""The account of a stand-in: its names and tags, its objects in S3, and what its containers are given and print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

from ml_platform.testing.faults import Faults
from ml_platform.testing.told import Told
from resources.aws.testing.service_model import Refusal

ACCOUNT, REGION = "123456789012", "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nobodys-secret-key"}
# Nothing listens there: a service that is not stood in for is refused, where it would else be called on the real one.
TRAP = "http://127.0.0.1:1"
# What a List request may ask for.
LISTED = ("NameContains", "StatusEquals", "SortBy", "SortOrder", "MaxResults", "NextToken")
_PAGE = 100


class Account:
    """One account in one region.

    home: folder of its containers. s3_address: of the S3 that it and its containers talk to. told: what is asked of it,
    and printed in it.
    """

    def __init__(self, home: Path, s3_address: str, told: Told | None = None) -> None:
        import boto3

        self.home = home
        self.told = told or Told(home / "told")
        self.faults = Faults()
        self.lock = RLock()
        self.logs: dict[str, dict[str, tuple[datetime, Callable[[], str]]]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._numbers = iter(range(1, 1_000_000))
        keys = {name.lower(): value for name, value in KEYS.items()}
        self._s3 = boto3.client("s3", endpoint_url=s3_address, region_name=REGION, **keys)
        # What a container's role gives it on the real service.
        self.environment = {
            "AWS_ENDPOINT_URL_S3": s3_address,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        } | KEYS

    def arn(self, kind: str, name: str) -> str:
        """The name of a resource among all of them."""
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"

    def folder(self) -> Path:
        """A new folder, for one container."""
        with self.lock:
            folder = self.home / str(next(self._numbers))
        folder.mkdir(parents=True)
        return folder

    def tag(self, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
        """The resource exists and carries these tags beside those that it had."""
        self._tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags})

    def forget(self, arn: str) -> None:
        """The resource exists no more."""
        self._tags.pop(arn, None)

    def tags(self, arn: str) -> list[dict[str, str]]:
        """The resource's tags. Raises Refusal for one that does not exist."""
        if arn not in self._tags:
            raise Refusal("ValidationException", f"Resource {arn} does not exist.")
        return [{"Key": key, "Value": value} for key, value in self._tags[arn].items()]

    def download(self, uri: str, into: Path) -> int:
        """The number of objects under the URI, each of which is a file in the folder now."""
        bucket, prefix = _parts(uri)
        found = 0
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                target = into / (item["Key"].removeprefix(prefix).lstrip("/") or Path(item["Key"]).name)
                target.parent.mkdir(parents=True, exist_ok=True)
                self._s3.download_file(bucket, item["Key"], str(target))
                found += 1
        return found

    def has(self, uri: str) -> bool:
        """Whether any object stands under the URI."""
        bucket, prefix = _parts(uri)
        return bool(self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["KeyCount"])

    def upload(self, path: Path, uri: str) -> None:
        """The file, or every file of the folder, stands at the URI."""
        bucket, key = _parts(uri)
        if path.is_file():
            self._s3.upload_file(str(path), bucket, key)
            return
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            self._s3.upload_file(str(file), bucket, f"{key.rstrip('/')}/{file.relative_to(path).as_posix()}")

    def print_to(self, group: str, stream: str, output: Callable[[], str]) -> None:
        """What a container prints is in CloudWatch."""
        self.logs.setdefault(group, {})[stream] = (datetime.now(UTC), output)


def page(items: Iterable[Mapping[str, Any]], request: Mapping[str, Any], noun: str) -> tuple[list[Any], dict[str, str]]:
    """The summaries that a List request asks for, and the `NextToken` where there are more."""
    part, status = request.get("NameContains", ""), request.get("StatusEquals")
    found = [item for item in items if part.lower() in item[f"{noun}Name"].lower()]
    found = [item for item in found if status in (None, item.get(f"{noun}Status"))]
    by = {"Name": f"{noun}Name", "Status": f"{noun}Status"}.get(request.get("SortBy", ""), "CreationTime")
    found.sort(key=lambda item: item[by], reverse=request.get("SortOrder", "Descending") == "Descending")
    start = int(request.get("NextToken", "0"))
    end = start + request.get("MaxResults", _PAGE)
    return found[start:end], {"NextToken": str(end)} if end < len(found) else {}


def offered(request: Mapping[str, Any], *fields: str) -> None:
    """Raises Refusal for a field that the service has, and this stand-in would only ignore."""
    for name in request:
        if name not in fields:
            raise Refusal("ValidationException", f"{name} is not offered by this stand-in for Amazon SageMaker.")


def _parts(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
