"""The manifest of a source: which files gave which rows, as a table of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml_platform.engine import delta, delta_log
from ml_platform.engine.staging import present, stage, undone_on_failure
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
        pa.field("replayed", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Entry:
    """What one file holds of one partition.

    digest: of the file's bytes. rows: how many there are; 0 under an empty partition for a file that is only known.
    size_bytes: None for an entry that was read back from the table's rows, which do not say what else the file holds.
    sequence: the batch that ingested them, None while they wait for a run that selects the partition. at: UTC.
    replayed: whether they stood in quarantine before; they come on top of what else the file has of the partition.
    """

    path: str
    digest: str
    size_bytes: int | None
    partition: str
    rows: int
    sequence: int | None
    at: datetime
    replayed: bool | None = False


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
        *,
        amended: bool = False,
    ) -> None:
        self._location = location
        self._snapshot = snapshot
        self._accounted = accounted
        self._unwritten = unwritten
        self._entries = (*entries, *unwritten)
        self._amended = amended
        self._paths: dict[str, set[str]] = {}
        self._latest: dict[str, Entry] = {}
        self._held: set[tuple[str, str]] = set()
        self._known: dict[str, set[str]] = {}
        for entry in self._entries:
            self._paths.setdefault(entry.path, set()).add(entry.digest)
            if entry.size_bytes is not None:
                self._known.setdefault(entry.digest, set()).add(entry.partition)
            if entry.sequence is not None:
                self._held.add((entry.digest, entry.partition))
                if entry.at >= self._latest.setdefault(entry.path, entry).at:
                    self._latest[entry.path] = entry

    @classmethod
    def load(cls, location: Location, partition: str | None, rows: TableSnapshot | None) -> Manifest:
        """The manifest as far as the table's own rows bear it out. Nothing is written.

        What a crash kept out of it is read back from the rows; what it has of batches that are not in the table any
        more, because the table was restored, is open again.
        rows: the source's table; None where it does not exist.
        """
        snapshot = delta.snapshot(location)
        entries = [] if snapshot is None else [Entry(**row) for row in delta.read_rows(snapshot).to_pylist()]
        accounted = 0 if snapshot is None else delta.transaction(location, APP_ID, snapshot.version) or 0
        committed = 0 if rows is None else delta.transaction(rows.location, APP_ID, rows.version) or 0
        claimed = max((entry.sequence for entry in entries if entry.sequence is not None and entry.rows), default=0)
        if committed == accounted and claimed <= _highest(rows):
            return cls(location, snapshot, accounted, entries, [])
        kept, lost = _borne_out(entries, [] if rows is None else _entries_in(rows, partition))
        return cls(location, snapshot, accounted, kept, lost, amended=kept != entries)

    @property
    def entries(self) -> Sequence[Entry]:
        """All that is known, written down or not."""
        return self._entries

    def digests_of(self, path: str) -> Collection[str]:
        """The contents that a path was seen with."""
        return self._paths.get(path, set())

    def is_taken_back(self, path: str, digest: str) -> bool:
        """Whether rows of this content were taken under the path, and rows of another since."""
        latest = self._latest.get(path)
        return latest is not None and latest.digest != digest and digest in self.digests_of(path)

    def knows(self, digest: str) -> bool:
        """Whether a file of that content was ever seen."""
        return digest in self._known or any(digest == held for held, _ in self._held)

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
        whole = self._amended and self._snapshot is not None
        added = [*(self._entries if whole else self._unwritten), *entries]
        if not added and sequence == self._accounted:
            return
        table = pa.Table.from_pylist([asdict(entry) for entry in added], schema=_SCHEMA)
        stood = present(self._location)
        staged = stage(table.to_batches(), _SCHEMA, self._location)
        replaced = self._snapshot.files if whole and self._snapshot else ()
        with undone_on_failure(staged, stood):
            delta.commit(staged, read=self._snapshot, replaced=replaced, transactions={APP_ID: sequence}, evidence={})


def _highest(rows: TableSnapshot | None) -> int:
    """The last batch of which the table has rows, by the statistics in its log; 0 where that is not known."""
    table = None if rows is None else delta_log.opened(rows.location, rows.version)
    if table is None:
        return 0
    actions = pa.table(table.get_add_actions(flatten=True))
    if "max._sequence" not in actions.column_names:
        return 0
    return pc.max(actions["max._sequence"]).as_py() or 0


def _borne_out(entries: Sequence[Entry], stand: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The entries, open again where the table does not have their rows; and what of the table's rows no entry says.

    stand: what the table's rows say by themselves.
    """
    rows: Counter[tuple[str, str]] = Counter()
    for entry in stand:
        rows[entry.digest, entry.partition] += entry.rows
    due = _due(entries)
    undone = {
        pair
        for pair, count in due.items()
        if rows[pair] == 0 < count or (rows[pair] < count and _replays(entries, pair))
    }
    kept = [
        replace(entry, sequence=None) if (entry.digest, entry.partition) in undone else entry
        for entry in entries
        if not (entry.replayed and (entry.digest, entry.partition) in undone)
    ]
    said = {(entry.digest, entry.partition) for entry in kept if entry.sequence is not None} | undone
    return kept, [entry for entry in stand if (entry.digest, entry.partition) not in said]


def _due(entries: Sequence[Entry]) -> dict[tuple[str, str], int]:
    """Digest and partition → the rows that the table has of them, by these entries."""
    whole: dict[tuple[str, str], int] = {}
    replayed: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        pair = (entry.digest, entry.partition)
        if entry.replayed:
            replayed[pair] += entry.rows
        else:
            whole[pair] = max(whole.get(pair, 0), entry.rows)
    return {pair: whole.get(pair, 0) + replayed[pair] for pair in {*whole, *replayed}}


def _replays(entries: Sequence[Entry], pair: tuple[str, str]) -> bool:
    return any(entry.replayed and (entry.digest, entry.partition) == pair for entry in entries)


def _entries_in(rows: TableSnapshot, partition: str | None) -> list[Entry]:
    """The entries of the batches in a table, read back from the rows that they left, a file at a time."""
    columns = ["_source_file", "_source_digest", "_sequence", "_ingested_at", *([partition] if partition else [])]
    grouped: list[dict[str, Any]] = []
    for file in rows.files:
        one = TableSnapshot(rows.location, rows.schema, rows.partition_by, (file,), rows.version)
        grouped += delta.read_rows(one, columns).group_by(columns).aggregate([([], "count_all")]).to_pylist()
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
