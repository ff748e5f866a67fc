"""Ingest: landed files into an append-only table, each file's rows of each partition exactly once.

A batch is an application transaction of the table (`ingest` → its sequence). Which files it held is kept in a second
table, `<key>__manifest`, written after the rows; when a crash leaves it behind, it is mended from the rows themselves,
which carry their file, its digest and their batch's sequence.
"""

from __future__ import annotations

import fnmatch
import hashlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileSelector, FileSystem, FileType

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem
from ml_platform.engine.manifest import Entry, Manifest
from ml_platform.engine.source_files import arrow_schema, read_csv
from ml_platform.engine.staging import stage
from ml_platform.errors import SourceError
from ml_platform.records.table import Commit, TableSnapshot
from ml_platform.roles.lakehouse import Lakehouse

APP_ID = "ingest"
PROVENANCE = pa.schema(
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
    """What became of a source. files: how many files gave rows in this batch; offered: how many matched."""

    commit: Commit
    snapshot: TableSnapshot
    files: int
    offered: int
    seconds: float


def ingest(source: Source, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse) -> Ingested:
    """The table holding the selected partitions' rows of every landed file.

    partitions: selected values of the partition column; one empty text for an unpartitioned source.
    every: all values there are. Raises SourceError for a file that is missing, damaged, changed since it was ingested
    or not as declared, for rows outside `every`, and for a selected partition that no file brings; nothing is
    committed then.
    """
    started = time.monotonic()
    location = lakehouse.table(source.key)
    before = delta.snapshot(location)
    manifest = Manifest.load(lakehouse.table(f"{source.key}__manifest"), source.partition, before)
    files = filesystem(lakehouse.files(source.landing))
    offered = _offered(source, files)
    reading = [_identified(path, files, manifest) for path in offered]
    waiting = [found for found in reading if manifest.lacks(found.digest, partitions)]
    sequence = (delta.transaction(location, APP_ID) or 0) + 1
    entries: list[Entry] = []
    batches = _batches(source, waiting, partitions, every, files, manifest, sequence, entries)
    schema = pa.schema([*arrow_schema(source.columns), *_partition_fields(source), *PROVENANCE])
    staged = stage(batches, schema, location, (source.partition,) if source.partition else ())
    _require_rows(source, partitions, before, {file.partition.get(source.partition or "") for file in staged.files})
    if staged.rows or before is None:
        done = delta.commit(staged, read=before, replaced=(), transactions={APP_ID: sequence}, evidence={})
        manifest.append(entries, sequence)
    else:
        done = Commit(before.version, 0, 0, (), unchanged=True)
        manifest.append(entries, sequence - 1)
    after = delta.existing(location)
    if source.partition:
        after = delta.restrict(after, source.partition, partitions)
    taken = len({entry.path for entry in entries if entry.sequence is not None})
    return Ingested(done, after, taken, len(offered), time.monotonic() - started)


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

    A file that cannot be read counts for the last partition: the run that follows says what is wrong with it.
    """
    files = filesystem(lakehouse.files(source.landing))
    before = delta.snapshot(lakehouse.table(source.key))
    manifest = Manifest.load(lakehouse.table(f"{source.key}__manifest"), source.partition, before)
    found: set[str] = set()
    for path in _offered(source, files):
        try:
            file = _identified(path, files, manifest)
            if manifest.lacks(file.digest, every):
                counts = _counts(source, _partitioned(source, read_csv(files, path, source.columns)), every, path)
                found |= {partition for partition in counts if not manifest.holds(file.digest, partition)}
        except SourceError:
            found.add(every[-1] if source.partition else "")
    return found


def _offered(source: Source, files: FileSystem) -> list[str]:
    """The paths that match the source's pattern, sorted."""
    found = files.get_file_info(FileSelector("", recursive=True, allow_not_found=True))
    paths = sorted(info.path for info in found if info.type == FileType.File)
    matching = [path for path in paths if fnmatch.fnmatchcase(path, source.pattern)]
    if not matching:
        raise SourceError(
            f"{source.key} reads {source.pattern}, but no landed file of {source.landing} matches it",
            allowed=f"Landed are {', '.join(paths[:5])} and {max(0, len(paths) - 5)} more" if paths else "",
            remedy=f"Materialize {source.landing}, or mend files in its defs.yaml",
        )
    return matching


@dataclass(frozen=True)
class _Identified:
    path: str
    digest: str
    size_bytes: int


def _identified(path: str, files: FileSystem, manifest: Manifest) -> _Identified:
    """The file with its content's digest; refuses one that was ingested with another content."""
    try:
        with files.open_input_stream(path, compression=None) as stream:
            content = stream.read()
    except FileNotFoundError as error:
        raise SourceError(f"{path} was listed, but it is gone", remedy="Land it again, or run again") from error
    digest = hashlib.sha256(content).hexdigest()[:32]
    known = manifest.digests_of(path)
    if known and digest not in known:
        raise SourceError(
            f"{path} holds other rows than when it was ingested, but a landed file never changes",
            remedy="Land the correction under a new name",
        )
    return _Identified(path, digest, len(content))


def _batches(
    source: Source,
    waiting: Sequence[_Identified],
    partitions: Sequence[str],
    every: Sequence[str],
    files: FileSystem,
    manifest: Manifest,
    sequence: int,
    entries: list[Entry],
) -> Iterator[pa.RecordBatch]:
    """The rows to append, and in `entries` what the manifest has to know of each file."""
    at = datetime.now(UTC)
    taken: set[tuple[str, str]] = set()
    for file in waiting:
        table = _with_provenance(source, read_csv(files, file.path, source.columns), file, at, sequence)
        for partition, count in _counts(source, table, every, file.path).items():
            wanted = partition in partitions and not manifest.holds(file.digest, partition)
            taking = wanted and (file.digest, partition) not in taken
            taken.add((file.digest, partition))
            entries.append(
                Entry(file.path, file.digest, file.size_bytes, partition, count, sequence if taking else None, at)
            )
            if taking:
                chosen = table.filter(pc.equal(table[source.partition], partition)) if source.partition else table
                yield from chosen.combine_chunks().to_batches()


def _with_provenance(source: Source, table: pa.Table, file: _Identified, at: datetime, sequence: int) -> pa.Table:
    import numpy as np

    count = table.num_rows
    table = _partitioned(source, table)
    values = [
        pa.array([file.path] * count, pa.string()),
        pa.array([file.digest] * count, pa.string()),
        pa.array(np.arange(count)),
        pa.array([at] * count, pa.timestamp("us", tz="UTC")),
        pa.array(np.full(count, sequence)),
    ]
    for field, column in zip(PROVENANCE, values, strict=True):
        table = table.append_column(field, column)
    return table


def _partitioned(source: Source, table: pa.Table) -> pa.Table:
    if not source.partition:
        return table
    return table.append_column(source.partition, _partition_values(source, table))


def _partition_fields(source: Source) -> list[pa.Field]:
    return [pa.field(source.partition, pa.string())] if source.partition else []


def _partition_values(source: Source, table: pa.Table) -> pa.Array:
    """The month of each row, `2013-01`, in the source's time zone."""
    import polars as pl

    column = pl.Series(table[source.partition_of])
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.convert_time_zone(source.timezone)
    return column.dt.strftime("%Y-%m").to_arrow().cast(pa.string())


def _counts(source: Source, table: pa.Table, every: Sequence[str], path: str) -> dict[str, int]:
    """Partition → rows of one file; an unpartitioned source has the one partition of an empty name."""
    if not source.partition:
        return {"": table.num_rows}
    counted: list[dict[str, Any]] = pc.value_counts(table[source.partition]).to_pylist()
    counts = {row["values"]: row["counts"] for row in counted}
    outside = sorted(str(value) for value in counts if value not in every)
    if outside:
        raise SourceError(
            f"{path} has rows whose {source.partition} is {', '.join(outside)}, but there is no such partition",
            allowed=f"Partitions go from {every[0]} to {every[-1]}, by {source.partition_of}",
            remedy="Mend the file, or widen partitions in domain.yaml",
        )
    return counts


def _require_rows(
    source: Source, partitions: Sequence[str], before: TableSnapshot | None, staged: set[str | None]
) -> None:
    if not source.partition:
        return
    standing = {file.partition[source.partition] for file in before.files} if before else set()
    absent = sorted(set(partitions) - standing - staged)
    if absent:
        raise SourceError(
            f"{source.key} has no rows for {', '.join(absent)}, but these partitions were asked for",
            allowed=f"Rows come from {source.landing}, files {source.pattern}",
            remedy="Land the missing files, or select other partitions",
        )
