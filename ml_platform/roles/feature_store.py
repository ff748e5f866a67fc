"""The feature store: where feature views are published and entities are looked up online."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from ml_platform.records.feature import FeatureRow, FeatureView, LookUp, PublishedView

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa


class FeatureStore(Protocol):
    """Keeps, for every entity, the rows that its view's ttl spans, so that a look-up is as of any of those moments."""

    def publish(self, view: FeatureView, rows: Iterable[pa.RecordBatch], keep_from: datetime, version: str) -> int:
        """The view's rows replaced by these under a version's name, and how many rows stand afterwards.

        rows: entity, event time, known at and features, any order; those with an event time before `keep_from` (UTC)
        are left out. Atomic: a reader sees all of the old rows or all of the new. Idempotent.
        """
        ...

    def revise(
        self,
        view: FeatureView,
        gone: Iterable[pa.RecordBatch],
        come: Iterable[pa.RecordBatch],
        keep_from: datetime,
        version: str,
    ) -> int:
        """What stands of the view without the rows that are gone and with those that come, and how many rows that is.

        gone, come: rows as for `publish`; an entity, event time and known at name one row, and what stands under the
        name of one that is gone goes first. Rows with an event time before `keep_from` go too. Nothing else is written,
        and what stands is then what publishing the whole would have made. Atomic. Raises NotFoundError for a view that
        was never published.
        """
        ...

    def look_up(self, question: LookUp) -> Sequence[FeatureRow]:
        """One row for each key, in the order of the keys.

        For a moment t: of the rows with `known_at` ≤ t and t − ttl ≤ `event_time` ≤ t the one with the latest event
        time, and of those the one known last. A later row is never served. Raises NotFoundError for a view that was
        never published.
        """
        ...

    def published(self, view: FeatureView) -> PublishedView | None:
        """Which version of the view stands; None where it was never published."""
        ...
