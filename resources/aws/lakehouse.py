"""A lakehouse in Amazon S3, or in any store that speaks its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_platform.records.table import Location

if TYPE_CHECKING:
    from ml_platform.roles.lakehouse import Lakehouse


class AwsLakehouse:
    """Tables and files side by side under one prefix of a bucket.

    Credentials are not settings: delta-rs takes them from the process's environment, as every AWS client does, so that
    child processes inherit them and nothing that is secret is recorded.

    bucket: its name; it has to exist. prefix: inside it, already the environment's own, for instance `prod`.
    region: the bucket's, for instance `eu-central-1`. endpoint_url: of another store than Amazon's; empty for Amazon.
    """

    def __init__(self, bucket: str, prefix: str, region: str, endpoint_url: str = "") -> None:
        self._root = f"s3://{bucket}/{prefix.strip('/')}".rstrip("/")
        # A commit is a file that must not be there yet: the store itself refuses the second of two writers.
        self._options = {"aws_region": region, "aws_conditional_put": "etag"}
        if endpoint_url:
            self._options["aws_endpoint_url"] = endpoint_url
        if endpoint_url.startswith("http://"):
            self._options["aws_allow_http"] = "true"

    def table(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, f"{self._root}/tables/{key}", self._options)

    def files(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, f"{self._root}/files/{key}", self._options)


if TYPE_CHECKING:
    _: type[Lakehouse] = AwsLakehouse
