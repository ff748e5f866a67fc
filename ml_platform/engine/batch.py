"""A batch: the rows that one run takes from a source's files, and what it learns of the files while it reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileSystem

from ml_platform.engine import delta
from ml_platform.engine.evolution import Evolution
from ml_platform.engine.landed import rows_of
from ml_platform.engine.landed_file import LandedFile
from ml_platform.engine.manifest import Entry, Manifest
from ml_platform.engine.rejected import Rejected
from ml_platform.engine.source_rows import Part
from ml_platform.errors import AuditError, SourceError
from ml_platform.records.table import DataFile, Location, StagedFiles, TableSnapshot

if TYPE_CHECKING:
    from ml_platform.engine.ingest import Source


@dataclass
class Counts:
    """Rows that were read, that were passed over (they stand already, or wait for their partition), quarantined."""

    read: int = 0
    passed: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class Batch:
    """One batch in the making.

    sequence: its number; at: its moment, UTC; before: the table as it stood. entries: what it teaches the manifest.
    """

    source: Source
    partitions: Sequence[str]
    every: Sequence[str]
    files: FileSystem
    manifest: Manifest
    rejected: Rejected
    location: Location
    before: TableSnapshot | None
    sequence: int
    at: datetime
    entries: list[Entry] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def reads(self, file: LandedFile) -> bool:
        """Whether the file may hold rows that this batch has to take."""
        return self.manifest.lacks(file.digest, self.partitions) or self.rejected.outdated(file.digest)

    def rows(self, found: Sequence[LandedFile], evolution: Evolution) -> Iterator[pa.RecordBatch]:
        """The rows to append, in the order of the files, and in the entries what the manifest has to know of each."""
        read: set[str] = set()
        for file in found:
            if file.digest not in read and self.reads(file):
                read.add(file.digest)
                yield from self._of(file, evolution)
            elif file.digest not in self.manifest.digests_of(file.path):
                self.entries.append(self._entry(file, "", 0, taken=False))  # it has got a second name

    def require_accounted(self, added: int) -> None:
        """Returns where every row that was read is somewhere. added: rows that were staged of it."""
        counts = self.counts
        if counts.read != added + counts.passed + counts.quarantined:
            raise AuditError(
                f"{self.source.key} read {counts.read} rows, but {added} are to be added, {counts.passed} are not "
                f"asked for or stand already, and {counts.quarantined} are quarantined",
                remedy="Report it; nothing was committed",
            )

    def require_asked(self, staged: StagedFiles) -> None:
        """Returns where every partition that was asked for has rows; in quarantine, they may be of any partition."""
        column = self.source.partition
        if not column or self.counts.quarantined or self.rejected.holds_any:
            return
        held = {file.partition[column] for file in (*staged.files, *(self.before.files if self.before else ()))}
        absent = sorted(set(self.partitions) - held)
        if absent:
            raise SourceError(
                f"{self.source.key} has no rows for {', '.join(absent)}, but these partitions were asked for",
                allowed=f"Rows come from {self.source.landing}, files {self.source.pattern}",
                remedy="Land the missing files, or select other partitions",
            )

    def _of(self, file: LandedFile, evolution: Evolution) -> Iterator[pa.RecordBatch]:
        again = self._taken_before(file)
        self.rejected.reading(file.digest)
        wanted = [it for it in self.partitions if again is not None or not self.manifest.holds(file.digest, it)]
        taken: Counter[str] = Counter()
        passed: Counter[str] = Counter()
        places = 0
        for part in rows_of(self.source, file, self.files, self.every, evolution.added, seen=again is not None):
            places += self._account(file, part, again, places)
            takes = self._takes(part, wanted, again)
            rows = part.rows if takes is None else part.rows.filter(takes)
            offsets = part.offsets if takes is None else part.offsets.filter(takes)
            taken.update(self._by_partition(rows))
            if takes is not None:
                left = pc.invert(takes)
                passed.update(self._by_partition(part.rows.filter(left)))
                self._keep(file, part, left, again)
            if rows.num_rows:
                yield self._with_provenance(rows, offsets, file, evolution)
        self.counts.passed += passed.total()
        self._learn(file, taken, passed, replays=again is not None and len(again) > 0)

    def _taken_before(self, file: LandedFile) -> pa.Array | None:
        """The places of a file's rows that are in the table; None for a file that nothing is known of.

        The manifest cannot tell them: it knows whole partitions, of which the table may have a part where the other
        rows were quarantined, or were undone by a restore.
        """
        if not (self.rejected.holds(file.digest) or self.manifest.knows(file.digest)):
            return None
        stands = self.before
        if stands and self.source.partition and not self.source.quarantines:
            stands = delta.restrict(stands, self.source.partition, self.partitions)
        found = [_places(stands, one, file.digest) for one in stands.files] if stands else []
        return pa.concat_arrays([pa.array([], pa.int64()), *found])

    def _account(self, file: LandedFile, part: Part, again: pa.Array | None, places: int) -> int:
        """How many rows the part has; its misfits stand in quarantine, but for those that are in the table."""
        count = int(part.rows.num_rows) + len(part.misfits)
        last = max((*(it.offset for it in part.misfits[-1:]), *part.offsets[-1:].to_pylist()), default=places - 1)
        if last + 1 != places + count:
            raise AuditError(
                f"{file.path} gave {places + count} rows up to its row {last + 1}, but each row is read once",
                remedy="Report it; nothing was committed",
            )
        stand = _among(pa.array([it.offset for it in part.misfits], pa.int64()), again).to_pylist()
        refused = [it for it, stands in zip(part.misfits, stand, strict=True) if not stands]
        self.rejected.add(file.path, file.digest, refused)
        self.counts.read += count
        self.counts.quarantined += len(refused)
        self.counts.passed += len(part.misfits) - len(refused)
        return count

    def _takes(self, part: Part, wanted: Sequence[str], again: pa.Array | None) -> pa.Array | None:
        """Which of the rows are taken; None where all are."""
        takes = pc.invert(_among(part.offsets, again))
        if self.source.partition:
            takes = pc.and_(takes, pc.is_in(part.rows[self.source.partition], pa.array(wanted, pa.string())))
        elif not wanted:
            takes = pa.repeat(pa.scalar(False), part.rows.num_rows)
        return None if pc.all(takes, min_count=0).as_py() else takes

    def _keep(self, file: LandedFile, part: Part, left: pa.Array, again: pa.Array | None) -> None:
        """Rows that would be taken, were their partition selected, stay in quarantine where they stand in it."""
        if self.rejected.holds(file.digest):
            offsets = part.offsets.filter(left)
            self.rejected.keep(file.digest, offsets.filter(pc.invert(_among(offsets, again))).to_pylist())

    def _by_partition(self, rows: pa.RecordBatch) -> dict[str, int]:
        if not self.source.partition:
            return {"": rows.num_rows} if rows.num_rows else {}
        counts = pc.value_counts(rows[self.source.partition]).to_pylist()
        return {row["values"]: row["counts"] for row in counts}

    def _learn(self, file: LandedFile, taken: Counter[str], passed: Counter[str], *, replays: bool) -> None:
        for partition, rows in sorted(taken.items()):
            again = replays and self.manifest.holds(file.digest, partition)
            self.entries.append(self._entry(file, partition, rows, taken=True, replayed=again))
        for partition, rows in sorted(passed.items()):
            if partition not in taken and not self.manifest.holds(file.digest, partition):
                self.entries.append(self._entry(file, partition, rows, taken=False))
        if not taken and not passed:
            self.entries.append(self._entry(file, "", 0, taken="" in self.partitions))

    def _entry(self, file: LandedFile, partition: str, rows: int, *, taken: bool, replayed: bool = False) -> Entry:
        sequence = self.sequence if taken else None
        return Entry(file.path, file.digest, file.size_bytes, partition, rows, sequence, self.at, replayed)

    def _with_provenance(
        self, rows: pa.RecordBatch, offsets: pa.Array, file: LandedFile, evolution: Evolution
    ) -> pa.RecordBatch:
        values = {
            "_source_file": pa.repeat(pa.scalar(file.path), rows.num_rows),
            "_source_digest": pa.repeat(pa.scalar(file.digest), rows.num_rows),
            "_source_offset": offsets,
            "_ingested_at": pa.repeat(pa.scalar(self.at, pa.timestamp("us", tz="UTC")), rows.num_rows),
            "_sequence": pa.repeat(pa.scalar(self.sequence, pa.int64()), rows.num_rows),
        }
        columns = [values[name] if name in values else rows[name] for name in evolution.schema.names]
        return pa.record_batch(columns, schema=evolution.schema)


def _places(of: TableSnapshot, one: DataFile, digest: str) -> pa.Array:
    """The places, in the source file of this digest, of the rows that one file of a table has of it."""
    alone = TableSnapshot(of.location, of.schema, of.partition_by, (one,), of.version)
    rows = delta.read_rows(alone, ["_source_digest", "_source_offset"])
    found = rows.filter(pc.equal(rows["_source_digest"], digest))["_source_offset"].combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def _among(places: pa.Array, taken: pa.Array | None) -> pa.Array:
    """Of each place whether it is taken."""
    return pc.is_in(places, taken) if taken is not None else pa.repeat(pa.scalar(False), len(places))
