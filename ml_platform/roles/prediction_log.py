"""The prediction log: what was served, in the order in which it was written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ml_platform.records.prediction import ServedPrediction


class PredictionLog(Protocol):
    """Append-only; a record that was acknowledged survives the death of the server.

    A log that leaves records to the kernel for a while says in `lag_seconds()` for how long, has `flush()` for the end
    of a server, and says by `waits` being False that an append takes no longer than writing to memory.
    """

    def append(self, records: Sequence[ServedPrediction]) -> None:
        """The records are found by whoever opens the log from now on, and the end of this process loses none."""
        ...

    def since(self, endpoint: str, cursor: int, limit: int) -> tuple[Sequence[ServedPrediction], int]:
        """At most `limit` records after the cursor (0: from the beginning), oldest first, and the cursor after them."""
        ...

    def expire(self, endpoint: str, cursor: int, before: datetime) -> int:
        """How many records are gone: of those before the cursor, as many of the oldest that were served before then.

        Places are not given again; which records go together, and so stay a little longer, is the log's own affair.
        """
        ...
