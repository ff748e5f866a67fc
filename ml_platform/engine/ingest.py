"""Ingest: landed files into an append-only table, each file's rows of each partition exactly once.

A batch is an application transaction of the table (`ingest` → its sequence). Which files it held is kept in a second
table, `<key>__manifest`, written after the rows; what a crash kept out of it is known from the rows themselves, which
carry their file, its digest and their batch's sequence. A file is known by its content, whatever it is called.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileSelector, FileSystem, FileType

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem
from ml_platform.engine.landed import LandedFile, counted, identified, nothing_offered, offered, rows_of
from ml_platform.engine.manifest import APP_ID, Entry, Manifest
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.source_files import arrow_schema
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.errors import ConflictError, SourceError
from ml_platform.records.table import Commit, StagedFiles, TableSnapshot
from ml_platform.roles.lakehouse import Lakehouse

_PROVENANCE = pa.schema(
    [
        pa.field("_source_file", pa.string()),
        pa.field("_source_digest", pa.string()),
        pa.field("_source_offset", pa.int64()),
        pa.field("_ingested_at", pa.timestamp("us", tz="UTC")),
        pa.field("_sequence", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Source:
    """What lands and how it is read.

    landing: asset key of the folder that files land in; pattern: which of them, for instance `departures/*.csv`.
    columns: name → type, in the file's order.
    partition: the partition column that rows get, taken from `partition_of` (a date, or a timestamp in `timezone`).
    """

    key: str
    landing: str
    pattern: str
    columns: Mapping[str, str]
    partition: str | None = None
    partition_of: str = ""
    timezone: str = "UTC"


@dataclass(frozen=True)
class Ingested:
    """What became of a source.

    files: how many files gave rows in this batch; offered: how many matched.
    waiting: partition → rows that landed files hold of it, and that no run has asked for.
    """

    commit: Commit
    snapshot: TableSnapshot
    files: int
    offered: int
    waiting: Mapping[str, int]
    seconds: float


def ingest(source: Source, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse) -> Ingested:
    """The table holding the selected partitions' rows of every landed file.

    partitions: selected values of the partition column; one empty text for an unpartitioned source.
    every: all values there are. Raises SourceError for a file that is missing, damaged, changed since it was ingested
    or not as declared, for rows outside `every`, and for a selected partition that no file brings; nothing is
    committed then. A conflict with another writer is tried again.
    """
    return until_undisputed(lambda: _ingest(source, partitions, every, lakehouse))


def listing(landings: Collection[str], lakehouse: Lakehouse) -> str:
    """A digest of which files stand where, how large and since when; it changes when a file lands."""
    seen = []
    for landing in sorted(landings):
        found = filesystem(lakehouse.files(landing)).get_file_info(
            FileSelector("", recursive=True, allow_not_found=True)
        )
        seen += sorted((landing, info.path, info.size, info.mtime_ns) for info in found if info.type == FileType.File)
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:32]


def waiting(source: Source, every: Sequence[str], lakehouse: Lakehouse) -> set[str]:
    """The partitions of which landed files hold rows that are not ingested; one empty text for an unpartitioned source.

    Nothing is written. A file that cannot be read counts for the last partition: the run that follows says what is
    wrong with it.
    """
    files = filesystem(lakehouse.files(source.landing))
    manifest = _manifest(source, delta.snapshot(lakehouse.table(source.key)), lakehouse)
    selectable = every if source.partition else [""]
    found: set[str] = set()
    for path in offered(source, files):
        try:
            file = _known(path, files, manifest)
            if manifest.lacks(file.digest, selectable):
                counts = counted(source, rows_of(source, file, files), every, path)
                found |= {partition for partition in counts if not manifest.holds(file.digest, partition)}
        except SourceError:
            found.add(selectable[-1])
    return found


@dataclass(frozen=True)
class _Batch:
    """One batch in the making. sequence: its number; at: its moment, UTC; entries: what it teaches the manifest."""

    source: Source
    partitions: Sequence[str]
    every: Sequence[str]
    files: FileSystem
    manifest: Manifest
    sequence: int
    at: datetime
    entries: list[Entry]


def _ingest(source: Source, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse) -> Ingested:
    started = time.monotonic()
    location = lakehouse.table(source.key)
    before = delta.snapshot(location)
    manifest = _manifest(source, before, lakehouse)
    files = filesystem(lakehouse.files(source.landing))
    found = [_known(path, files, manifest) for path in offered(source, files)]
    if not found:
        raise nothing_offered(source, files)
    last = (delta.transaction(location, APP_ID, before.version) if before else None) or 0
    batch = _Batch(source, partitions, every, files, manifest, last + 1, datetime.now(UTC), [])
    stood = present(location)
    staged = stage(_rows(batch, found), _schema(source), location, (source.partition,) if source.partition else ())
    with undone_on_failure(staged, stood):
        done = _commit(batch, staged, before)
    with suppress(ConflictError):  # somebody else has read them from our rows meanwhile, and written them down
        manifest.append(batch.entries, last if done.unchanged else batch.sequence)
    after = delta.snapshot(location, done.version)
    if after is None:
        raise AssertionError(f"{source.key} was committed and is not there")
    if source.partition:
        after = delta.restrict(after, source.partition, partitions)
    taken = len({entry.path for entry in batch.entries if entry.sequence is not None})
    waits = manifest.waiting(batch.entries)
    return Ingested(done, after, taken, len(found), waits, time.monotonic() - started)


def _commit(batch: _Batch, staged: StagedFiles, before: TableSnapshot | None) -> Commit:
    _require_rows(batch, before, staged)
    if before is not None and not staged.rows:
        return Commit(before.version, 0, 0, (), unchanged=True)
    return delta.commit(staged, read=before, replaced=(), transactions={APP_ID: batch.sequence}, evidence={})


def _manifest(source: Source, rows: TableSnapshot | None, lakehouse: Lakehouse) -> Manifest:
    return Manifest.load(lakehouse.table(f"{source.key}__manifest"), source.partition, rows)


def _schema(source: Source) -> pa.Schema:
    partition = [pa.field(source.partition, pa.string())] if source.partition else []
    return pa.schema([*arrow_schema(source.columns), *partition, *_PROVENANCE])


def _known(path: str, files: FileSystem, manifest: Manifest) -> LandedFile:
    """The file; refuses one that was seen with another content."""
    file = identified(path, files)
    seen = manifest.digests_of(path)
    if seen and file.digest not in seen:
        raise SourceError(
            f"{path} holds other rows than when it was ingested, but a landed file never changes",
            remedy="Land the correction under a new name",
        )
    return file


def _rows(batch: _Batch, found: Sequence[LandedFile]) -> Iterator[pa.RecordBatch]:
    """The rows to append, a file at a time, and in the batch's entries what the manifest has to know of each file."""
    taken: set[tuple[str, str]] = set()
    for file in found:
        if not batch.manifest.lacks(file.digest, batch.partitions):
            if file.digest not in batch.manifest.digests_of(file.path):
                batch.entries.append(_entry(batch, file, "", 0, taking=False))  # it has got a second name
            continue
        table = rows_of(batch.source, file, batch.files)
        counts = counted(batch.source, table, batch.every, file.path)
        table = _with_provenance(table, file, batch)
        for partition, count in (counts or {"": 0}).items():
            wanted = partition in batch.partitions and not batch.manifest.holds(file.digest, partition)
            taking = wanted and (file.digest, partition) not in taken
            taken.add((file.digest, partition))
            batch.entries.append(_entry(batch, file, partition, count, taking=taking))
            if taking:
                yield from _of_partition(table, batch.source.partition, partition).to_batches()


def _entry(batch: _Batch, file: LandedFile, partition: str, rows: int, *, taking: bool) -> Entry:
    sequence = batch.sequence if taking else None
    return Entry(file.path, file.digest, file.size_bytes, partition, rows, sequence, batch.at)


def _of_partition(table: pa.Table, column: str | None, partition: str) -> pa.Table:
    return table.filter(pc.equal(table[column], partition)) if column else table


def _with_provenance(table: pa.Table, file: LandedFile, batch: _Batch) -> pa.Table:
    import numpy as np

    count = table.num_rows
    values = [
        pa.repeat(pa.scalar(file.path), count),
        pa.repeat(pa.scalar(file.digest), count),
        pa.array(np.arange(count)),
        pa.repeat(pa.scalar(batch.at, pa.timestamp("us", tz="UTC")), count),
        pa.repeat(pa.scalar(batch.sequence, pa.int64()), count),
    ]
    for field, column in zip(_PROVENANCE, values, strict=True):
        table = table.append_column(field, column)
    return table


def _require_rows(batch: _Batch, before: TableSnapshot | None, staged: StagedFiles) -> None:
    source, column = batch.source, batch.source.partition
    if not column:
        return
    held = {file.partition[column] for file in (*staged.files, *(before.files if before else ()))}
    absent = sorted(set(batch.partitions) - held)
    if absent:
        raise SourceError(
            f"{source.key} has no rows for {', '.join(absent)}, but these partitions were asked for",
            allowed=f"Rows come from {source.landing}, files {source.pattern}",
            remedy="Land the missing files, or select other partitions",
        )
