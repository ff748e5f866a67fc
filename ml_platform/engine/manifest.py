"""The manifest of a source: which files gave which rows, as a table of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ml_platform.engine import delta
from ml_platform.engine.staging import stage
from ml_platform.records.table import Location, TableSnapshot

APP_ID = "ingest"
_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("digest", pa.string()),
        pa.field("size_bytes", pa.int64()),
        pa.field("partition", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("sequence", pa.int64()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class Entry:
    """What one file holds of one partition.

    digest: of the file's bytes. rows: how many there are; 0 under an empty partition for a file that is only known.
    size_bytes: None for an entry that was read back from the table's rows, which do not say what else the file holds.
    sequence: the batch that ingested them, None while they wait for a run that selects the partition. at: UTC.
    """

    path: str
    digest: str
    size_bytes: int | None
    partition: str
    rows: int
    sequence: int | None
    at: datetime


class Manifest:
    """The entries of one source, as far as its table has them.

    snapshot: the manifest's own table, None where it does not exist. accounted: the batch up to which it has entries.
    entries: in that table. unwritten: what is known beyond it; `append` writes it down.
    """

    def __init__(
        self,
        location: Location,
        snapshot: TableSnapshot | None,
        accounted: int,
        entries: Sequence[Entry],
        unwritten: Sequence[Entry],
    ) -> None:
        self._location = location
        self._snapshot = snapshot
        self._accounted = accounted
        self._unwritten = unwritten
        self._entries = (*entries, *unwritten)
        self._paths: dict[str, set[str]] = {}
        self._held: set[tuple[str, str]] = set()
        self._known: dict[str, set[str]] = {}
        for entry in self._entries:
            self._paths.setdefault(entry.path, set()).add(entry.digest)
            if entry.size_bytes is not None:
                self._known.setdefault(entry.digest, set()).add(entry.partition)
            if entry.sequence is not None:
                self._held.add((entry.digest, entry.partition))

    @classmethod
    def load(cls, location: Location, partition: str | None, rows: TableSnapshot | None) -> Manifest:
        """The manifest, with what a crash kept out of it read back from the table's own rows. Nothing is written.

        rows: the source's table; None where it does not exist.
        """
        snapshot = delta.snapshot(location)
        entries = [] if snapshot is None else [Entry(**row) for row in delta.read_rows(snapshot).to_pylist()]
        accounted = 0 if snapshot is None else delta.transaction(location, APP_ID, snapshot.version) or 0
        committed = 0 if rows is None else delta.transaction(rows.location, APP_ID, rows.version) or 0
        lost = _entries_in(rows, partition, after=accounted) if rows is not None and committed > accounted else []
        return cls(location, snapshot, accounted, entries, lost)

    def digests_of(self, path: str) -> Collection[str]:
        """The contents that a path was seen with."""
        return self._paths.get(path, set())

    def holds(self, digest: str, partition: str) -> bool:
        """Whether the rows that a file has of a partition are in the table."""
        return (digest, partition) in self._held

    def lacks(self, digest: str, partitions: Collection[str]) -> bool:
        """Whether a file may have rows of these partitions that are not in the table yet."""
        known = self._known.get(digest)
        if known is None:
            return True
        return any(partition in known and not self.holds(digest, partition) for partition in partitions)

    def waiting(self, learnt: Sequence[Entry]) -> dict[str, int]:
        """Partition → rows that landed files are known to hold of it and that are in no batch.

        learnt: what a batch adds to what is known.
        """
        known = (*self._entries, *learnt)
        held = {(entry.digest, entry.partition) for entry in known if entry.sequence is not None}
        rows = {(e.digest, e.partition): e.rows for e in known if (e.digest, e.partition) not in held}
        totals: dict[str, int] = {}
        for (_, partition), count in sorted(rows.items()):
            totals[partition] = totals.get(partition, 0) + count
        return totals

    def append(self, entries: Sequence[Entry], sequence: int) -> None:
        """The entries stand in the manifest's table, which then accounts for every batch up to the sequence."""
        added = [*self._unwritten, *entries]
        if not added and sequence == self._accounted:
            return
        table = pa.Table.from_pylist([asdict(entry) for entry in added], schema=_SCHEMA)
        staged = stage(table.to_batches(), _SCHEMA, self._location)
        delta.commit(staged, read=self._snapshot, replaced=(), transactions={APP_ID: sequence}, evidence={})


def _entries_in(rows: TableSnapshot, partition: str | None, after: int) -> list[Entry]:
    """The entries of the batches after a sequence, read back from the rows that they left."""
    columns = ["_source_file", "_source_digest", "_sequence", "_ingested_at", *([partition] if partition else [])]
    table = delta.read_rows(rows, columns)
    table = table.filter(pc.greater(table["_sequence"], after))
    grouped = table.group_by(columns).aggregate([([], "count_all")]).to_pylist()
    return [
        Entry(
            path=row["_source_file"],
            digest=row["_source_digest"],
            size_bytes=None,
            partition=row[partition] if partition else "",
            rows=row["count_all"],
            sequence=row["_sequence"],
            at=row["_ingested_at"],
        )
        for row in grouped
    ]
