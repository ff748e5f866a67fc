"""A bucket of Amazon S3, as far as the adapters need one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from resources.aws import sdk


class Bucket:
    """Objects by their keys; a client is made with the first call.

    name: of the bucket, which has to exist. region: where it is.
    """

    def __init__(self, name: str, region: str) -> None:
        self.name, self._region = name, region

    @cached_property
    def client(self) -> Any:
        """The SDK's client."""
        return sdk.client("s3", self._region)

    def uri(self, key: str) -> str:
        """Where the object, or what is below the key, is for a service of Amazon's."""
        return f"s3://{self.name}/{key}"

    def put_new(self, key: str, content: bytes) -> bool:
        """Whether the object is there now by this call; False where it stood already, and is as it was."""
        from botocore.exceptions import ClientError

        with sdk.told():
            try:
                self.client.put_object(Bucket=self.name, Key=key, Body=content, IfNoneMatch="*")
            except ClientError as error:
                # 412: it stands; 409: it was deleted, or another upload of it ended, in that moment.
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                    return False
                raise
        return True

    def get(self, key: str) -> bytes:
        """The object's content. Raises NotFoundError."""
        with sdk.told():
            content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def drop(self, key: str) -> None:
        """The object is not there."""
        sdk.call(self.client, "delete_object", Bucket=self.name, Key=key)

    def fetch(self, key: str, path: Path) -> Path:
        """The file, which holds the object's content."""
        with sdk.told():
            self.client.download_file(self.name, key, str(path))
        return path

    def page(self, prefix: str, after: str = "") -> Sequence[str]:
        """At most a thousand keys below the prefix that sort after that one, in order."""
        answer = sdk.call(self.client, "list_objects_v2", Bucket=self.name, Prefix=prefix, StartAfter=after)
        return [found["Key"] for found in answer.get("Contents", [])]

    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders directly below the prefix, which ends with a slash."""
        with sdk.told():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                for found in page.get("CommonPrefixes", []):
                    yield found["Prefix"].removeprefix(prefix).rstrip("/")

    def upload(self, folder: Path, prefix: str) -> None:
        """Every file of the folder stands below the prefix."""
        with sdk.told():
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                key = f"{prefix}/{path.relative_to(folder).as_posix()}"
                with path.open("rb") as content:
                    self.client.upload_fileobj(content, self.name, key)

    def download(self, prefix: str, into: Path) -> None:
        """Every object below the prefix is a file in the folder."""
        key = ""
        while keys := self.page(f"{prefix}/", after=key):
            for key in keys:
                target = into / key.removeprefix(f"{prefix}/")
                target.parent.mkdir(parents=True, exist_ok=True)
                self.fetch(key, target)
