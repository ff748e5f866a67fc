"""A lakehouse in Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_platform.records.table import Location

if TYPE_CHECKING:
    from ml_platform.roles.lakehouse import Lakehouse


class GcpLakehouse:
    """Tables and files side by side under one prefix of a bucket.

    Credentials are not settings: delta-rs takes them from the process's environment (`GOOGLE_SERVICE_ACCOUNT`, else
    `GOOGLE_APPLICATION_CREDENTIALS`, else the machine's own service account), so that locations hold nothing but names.

    bucket: its name; it has to exist. prefix: inside it, already the environment's own, for instance `prod`.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._root = f"gs://{bucket}/{prefix.strip('/')}".rstrip("/")

    def table(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, f"{self._root}/tables/{key}")

    def files(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, f"{self._root}/files/{key}")


if TYPE_CHECKING:
    _: type[Lakehouse] = GcpLakehouse
