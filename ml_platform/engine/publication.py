"""Publication: a feature view's table brought to the online store, when the store has another version of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from ml_platform.engine import delta
from ml_platform.records.feature import FeatureView
from ml_platform.records.table import Location, TableSnapshot
from ml_platform.roles.feature_store import FeatureStore


@dataclass(frozen=True)
class Published:
    """What became of a publication. rows: how many stand online; changed: whether the store was written to."""

    rows: int
    changed: bool


def publish(view: FeatureView, location: Location, keep_from: datetime, store: FeatureStore) -> Published:
    """The store holds the latest version of the view's table, from `keep_from` (UTC) on."""
    snapshot = delta.existing(location)
    wanted = f"{delta.fingerprint(snapshot)} from {keep_from.isoformat()}"
    stands = store.published(view)
    if stands is not None and stands.version == wanted:
        return Published(stands.rows, changed=False)
    return Published(store.publish(view, _batches(view, snapshot), keep_from, wanted), changed=True)


def _batches(view: FeatureView, snapshot: TableSnapshot) -> Iterator[pa.RecordBatch]:
    """The view's rows, a file at a time."""
    columns = [*view.entity, view.event_time, view.known_at, *view.features]
    for file in snapshot.files:
        one = TableSnapshot(snapshot.location, snapshot.schema, snapshot.partition_by, (file,), snapshot.version)
        yield from delta.read_rows(one, columns).to_batches()
