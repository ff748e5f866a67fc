"""A lakehouse in Amazon S3, or in any store that speaks its protocol."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ml_platform.records.table import Location

if TYPE_CHECKING:
    from ml_platform.roles.lakehouse import Lakehouse


class AwsLakehouse:
    """Tables and files side by side under one prefix of a bucket.

    Credentials are not settings: delta-rs takes them from the process's environment, as every AWS client does, so that
    child processes inherit them and nothing that is secret is recorded.

    bucket: its name; it has to exist. prefix: inside it, already the environment's own, for instance `prod`.
    region: the bucket's, for instance `eu-central-1`. endpoint_url: of another store than Amazon's; where it is empty,
    AWS_ENDPOINT_URL_S3 says it, as it does to Amazon's SDK, and where that is unset it is Amazon's.
    """

    def __init__(self, bucket: str, prefix: str, region: str, endpoint_url: str = "") -> None:
        self._root = f"s3://{bucket}/{prefix.strip('/')}".rstrip("/")
        # A commit is a file that must not be there yet: the store itself refuses the second of two writers.
        self._options = {"aws_region": region, "aws_conditional_put": "etag", **reached(endpoint_url)}

    def table(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, f"{self._root}/tables/{key}", self._options)

    def files(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, f"{self._root}/files/{key}", self._options)


def reached(endpoint_url: str = "") -> dict[str, str]:
    """The storage options by which delta-rs reaches the store; empty for Amazon's."""
    url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3", "")
    plain = {"aws_allow_http": "true"} if url.startswith("http://") else {}
    return {"aws_endpoint_url": url, **plain} if url else {}


if TYPE_CHECKING:
    _: type[Lakehouse] = AwsLakehouse
