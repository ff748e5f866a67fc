"""A lakehouse in Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_platform.records.table import Location

if TYPE_CHECKING:
    from ml_platform.roles.lakehouse import Lakehouse


class GcpLakehouse:
    """Tables and files side by side under one prefix of a bucket.

    bucket: its name; it has to exist. prefix: inside it, already the environment's own, for instance `prod`.
    service_account: path of a service account's key file, which stays where it is; empty for the credentials that the
    process's environment names or its machine has.
    """

    def __init__(self, bucket: str, prefix: str, service_account: str = "") -> None:
        self._root = f"gs://{bucket}/{prefix.strip('/')}".rstrip("/")
        self._options = {"google_service_account": service_account} if service_account else {}

    def table(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, f"{self._root}/tables/{key}", self._options)

    def files(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, f"{self._root}/files/{key}", self._options)


if TYPE_CHECKING:
    _: type[Lakehouse] = GcpLakehouse
