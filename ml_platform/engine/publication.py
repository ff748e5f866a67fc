"""Publication: a feature view's table brought to the online store, when the store has another version of it.

Where the version that stands there can still be read, only rows that differ are sent: those of entities with new rows,
and of entities whose windows move otherwise than was known. The moments at which a window lets rows go are rows of the
table already, so that time alone publishes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import pyarrow as pa

from ml_platform.engine import delta, intent
from ml_platform.engine.files import filesystem
from ml_platform.errors import NotFoundError
from ml_platform.records.feature import FeatureView
from ml_platform.records.table import DataFile, Location, TableSnapshot
from ml_platform.roles.feature_store import FeatureStore

# Who published by another name than this is told all of it once.
_NAMED = re.compile(r"(?P<number>\d+) (?P<fingerprint>\S+) from (?P<since>\S+)")
_ALL = "all of it"
_DIFFERING = "what differs"
_NOTHING = "nothing"


@dataclass(frozen=True)
class Published:
    """What became of a publication. rows: how many stand online; sent: what of the table was sent to the store."""

    rows: int
    sent: str

    @property
    def changed(self) -> bool:
        """Whether the store was written to."""
        return self.sent != _NOTHING


def publish(view: FeatureView, location: Location, keep_from: datetime, store: FeatureStore) -> Published:
    """The store holds the latest version of the view's table, from `keep_from` (UTC) on."""
    snapshot = delta.existing(location)
    wanted = f"{snapshot.version} {delta.fingerprint(snapshot)} from {keep_from.isoformat()}"
    stands = store.published(view)
    if stands is not None and stands.version.split(" ")[1:] == wanted.split(" ")[1:]:
        return Published(stands.rows, _NOTHING)
    intent.about_to("change" if stands else "create", f"version {snapshot.version} is to be published")
    before = _standing(stands.version, location, keep_from) if stands else None
    if before is None:
        return Published(store.publish(view, _batches(view, snapshot), keep_from, wanted), _ALL)
    gone, come = _differing(view, before, snapshot), _differing(view, snapshot, before)
    return Published(store.revise(view, gone, come, keep_from, wanted), _DIFFERING)


def online_since(version: str) -> datetime | None:
    """From which event time on, UTC, the store has the rows of a view; None where the name does not say.

    version: the name that they were published under.
    """
    named = _NAMED.fullmatch(version)
    return datetime.fromisoformat(named["since"]) if named else None


def _standing(version: str, location: Location, keep_from: datetime) -> TableSnapshot | None:
    """The version of the table that was published, with every file of it; None where more than it has to be sent."""
    named = _NAMED.fullmatch(version)
    if named is None or datetime.fromisoformat(named["since"]) > keep_from:
        return None
    number, fingerprint = named["number"], named["fingerprint"]
    try:
        found = delta.snapshot(location, int(number))
    except NotFoundError:
        return None
    if found is None or delta.fingerprint(found) != fingerprint:
        return None
    files = filesystem(location)
    there = all(info.type.name == "File" for info in files.get_file_info([file.path for file in found.files]))
    return found if there else None


def _differing(view: FeatureView, of: TableSnapshot, other: TableSnapshot) -> Iterator[pa.RecordBatch]:
    """The rows of one version that the other has not, a partition at a time; files that both have are not read."""
    own, others = _apart(of, other), _apart(other, of)
    for partition in sorted({_partition(file) for file in own}):
        rows, standing = (
            _rows(view, snapshot, [file for file in files if _partition(file) == partition])
            for snapshot, files in ((of, own), (other, others))
        )
        yield from rows.join(standing, on=rows.columns, how="anti", nulls_equal=True).to_arrow().to_batches()


def _apart(of: TableSnapshot, other: TableSnapshot) -> list[DataFile]:
    shared = {file.path for file in other.files}
    return [file for file in of.files if file.path not in shared]


def _partition(file: DataFile) -> tuple[str, ...]:
    return tuple(str(value) for value in file.partition.values())


def _rows(view: FeatureView, snapshot: TableSnapshot, files: Sequence[DataFile]) -> pl.DataFrame:
    some = TableSnapshot(snapshot.location, snapshot.schema, snapshot.partition_by, tuple(files), snapshot.version)
    return pl.DataFrame(pl.from_arrow(delta.read_rows(some, _columns(view))))


def _columns(view: FeatureView) -> list[str]:
    return [*view.entity, view.event_time, view.known_at, *view.features]


def _batches(view: FeatureView, snapshot: TableSnapshot) -> Iterator[pa.RecordBatch]:
    """The view's rows, a file at a time."""
    for file in snapshot.files:
        one = TableSnapshot(snapshot.location, snapshot.schema, snapshot.partition_by, (file,), snapshot.version)
        yield from delta.read_rows(one, _columns(view)).to_batches()
