"""The prediction log: what was served, in the order in which it was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ml_platform.records.prediction import ServedPrediction


class PredictionLog(Protocol):
    """Append-only; a record that was acknowledged survives the death of the server."""

    def append(self, records: Sequence[ServedPrediction]) -> None:
        """The records are durable when this returns."""
        ...

    def since(self, endpoint: str, cursor: int, limit: int) -> tuple[Sequence[ServedPrediction], int]:
        """At most `limit` records after the cursor (0: from the beginning), oldest first, and the cursor after them."""
        ...
