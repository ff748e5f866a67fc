"""A prediction log in Google Cloud Storage, whose conditional puts give the records of all servers one order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ml_platform.engine.object_log import ObjectLog
from ml_platform.records.prediction import ServedPrediction
from resources.gcp.bucket import Bucket

if TYPE_CHECKING:
    from ml_platform.roles.prediction_log import PredictionLog


class GcpPredictionLog:
    """Any number of servers may append and read. A cursor is the number of records that were seen.

    bucket: its name; it has to exist. prefix: inside it, the environment's own; records are in `prediction_log/` there.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._log = ObjectLog(_Objects(Bucket(bucket), f"{prefix.strip('/')}/prediction_log/".lstrip("/")))

    def append(self, records: Sequence[ServedPrediction]) -> None:
        """As the role promises."""
        self._log.append(records)

    def since(self, endpoint: str, cursor: int, limit: int) -> tuple[Sequence[ServedPrediction], int]:
        """As the role promises."""
        return self._log.since(endpoint, cursor, limit)

    def expire(self, endpoint: str, cursor: int, before: datetime) -> int:
        """As the role promises."""
        return self._log.expire(endpoint, cursor, before)


class _Objects:
    """The objects of the log, by their names below its prefix."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix

    def put_new(self, name: str, content: bytes) -> bool:
        return self._bucket.put_new(f"{self._prefix}{name}", content)

    def names(self, folder: str, after: str) -> Sequence[str]:
        found = self._bucket.page(f"{self._prefix}{folder}/", f"{self._prefix}{after}" if after else "")
        return [name.removeprefix(self._prefix) for name in found]

    def get(self, name: str) -> bytes:
        return self._bucket.get(f"{self._prefix}{name}")

    def delete(self, name: str) -> None:
        self._bucket.drop(f"{self._prefix}{name}")


if TYPE_CHECKING:
    _: type[PredictionLog] = GcpPredictionLog
