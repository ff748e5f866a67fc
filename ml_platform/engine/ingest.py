"""Ingest: landed files into an append-only table, each file's rows of each partition exactly once.

A batch is an application transaction of the table (`ingest` → its sequence). Which files it held is kept in a second
table, `<key>__manifest`, written after the rows; what a crash kept out of it is known from the rows themselves, which
carry their file, its digest and their batch's sequence. A file is known by its content, whatever it is called. Rows
that the source does not take stand in a third table, `<key>__quarantine`, written between the two.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Literal

from pyarrow.fs import FileSelector, FileSystem, FileType

from ml_platform.engine import delta, intent
from ml_platform.engine.batch import Batch
from ml_platform.engine.evolution import Evolution, evolved, standing
from ml_platform.engine.files import filesystem
from ml_platform.engine.landed import counted, nothing_offered, offered, rows_of, strange
from ml_platform.engine.landed_file import LandedFile, identified
from ml_platform.engine.manifest import APP_ID, Manifest
from ml_platform.engine.ranges import require_once
from ml_platform.engine.rejected import Rejected
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.errors import ConflictError, SourceError
from ml_platform.records.table import Commit, TableSnapshot
from ml_platform.roles.lakehouse import Lakehouse

HELD_BYTES = 64 * 2**20
"""How many bytes of new files a run holds from when it identifies them, so that these are read once."""


@dataclass(frozen=True)
class Source:
    """What lands and how it is read.

    landing: asset key of the folder that files land in; pattern: which of them, for instance `departures/*.csv`.
    columns: name → type, in the file's order.
    partition: the partition column that rows get, taken from `partition_of` (a date, or a timestamp in `timezone`).
    format: of its files, where their names do not say it.
    on_change: what a file that holds other bytes than before under its name is: refused, or a further version of it.
    new_columns: what a column that is not declared does. misfits: what a row does that a declared type cannot hold.
    type_changes: whether a column's type may widen.
    """

    key: str
    landing: str
    pattern: str
    columns: Mapping[str, str]
    partition: str | None = None
    partition_of: str = ""
    timezone: str = "UTC"
    format: str | None = None
    on_change: Literal["refuse", "ingest"] = "refuse"
    new_columns: Literal["fail", "add", "quarantine"] = "fail"
    misfits: Literal["fail", "quarantine"] = "fail"
    type_changes: Literal["fail", "widen"] = "fail"

    @property
    def quarantines(self) -> bool:
        """Whether rows of it can be quarantined."""
        return "quarantine" in (self.misfits, self.new_columns)

    def declaration(self, every: Sequence[str]) -> str:
        """A digest of what decides which rows are taken; rows that another one refused are tried again.

        every: all partitions there are.
        """
        columns, months = sorted(self.columns.items()), list(every) if self.partition else []
        said = (columns, self.partition_of, self.timezone, self.format, self.new_columns, self.misfits, months)
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Ingested:
    """What became of a source.

    files: how many files gave rows in this batch; offered: how many matched.
    waiting: partition → rows that landed files hold of it, and that no run has asked for.
    read: rows of the files that were read, each of them taken (rows_added), passed, because it is in the table already
    or waits for its partition, or quarantined.
    changes: what changed of the table's columns. changed: files that came with other bytes under an old name.
    """

    commit: Commit
    snapshot: TableSnapshot
    files: int
    offered: int
    waiting: Mapping[str, int]
    seconds: float
    read: int = 0
    passed: int = 0
    quarantined: int = 0
    changes: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


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
            file = _known(path, files, manifest, source)
            if manifest.lacks(file.digest, selectable):
                added = strange(source, path, files) if source.new_columns == "add" else {}
                seen = manifest.knows(file.digest)
                counts = counted(rows_of(source, file, files, every, added, seen=seen), source)
                found |= {partition for partition in counts if not manifest.holds(file.digest, partition)}
        except SourceError:
            found.add(selectable[-1])
    return found


def _ingest(source: Source, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse) -> Ingested:
    at = datetime.now(UTC)
    with closing(Rejected(source.key, lakehouse, source.declaration(every), at)) as rejected:
        return _taken(source, partitions, every, lakehouse, rejected, at)


def _taken(
    source: Source,
    partitions: Sequence[str],
    every: Sequence[str],
    lakehouse: Lakehouse,
    rejected: Rejected,
    at: datetime,
) -> Ingested:
    started = time.monotonic()
    location = lakehouse.table(source.key)
    before = delta.snapshot(location)
    manifest = _manifest(source, before, lakehouse)
    files = filesystem(lakehouse.files(source.landing))
    found = _found(source, files, manifest, lakehouse)
    if not found:
        raise nothing_offered(source, files)
    last = max(0, (delta.transaction(location, APP_ID, before.version) if before else None) or 0)
    batch = Batch(source, partitions, every, files, manifest, rejected, location, before, last + 1, at)
    reads = [file.path for file in found if batch.reads(file)]
    if reads:
        said = f"{len(reads)} of {len(found)} landed files are to be read: {', '.join(reads[:3])}"
        intent.about_to("change" if before else "create", said)
    evolution = evolved(source, before, [file for file in found if batch.reads(file)], files)
    done = _written(batch, found, evolution)
    rejected.commit(made=source.quarantines)
    with suppress(ConflictError):  # somebody else has read them from our rows meanwhile, and written them down
        manifest.append(batch.entries, last if done.unchanged else batch.sequence)
    after = delta.snapshot(location, done.version)
    if after is None:
        raise AssertionError(f"{source.key} was committed and is not there")
    if source.partition:
        after = delta.restrict(after, source.partition, partitions)
    taken = len({entry.path for entry in batch.entries if entry.sequence is not None})
    changed = tuple(file.path for file in found if _changed(file, manifest))
    counts = batch.counts
    return Ingested(
        done,
        after,
        taken,
        len(found),
        manifest.waiting(batch.entries),
        time.monotonic() - started,
        counts.read,
        counts.passed,
        counts.quarantined,
        evolution.changes,
        changed,
    )


def _found(source: Source, files: FileSystem, manifest: Manifest, lakehouse: Lakehouse) -> list[LandedFile]:
    """The files that are offered; new ones with their bytes, as far as these may be held.

    Raises SourceError where a new one was extracted that has rows of another, which may be gone.
    """
    found, room = [], HELD_BYTES
    paths = offered(source, files)
    require_once(source.landing, paths, manifest.entries, lakehouse)
    for path in paths:
        file = _known(path, files, manifest, source, room)
        if file.content is not None and manifest.knows(file.digest):
            file = replace(file, content=None)
        room -= 0 if file.content is None else file.size_bytes
        found.append(file)
    return found


def _written(batch: Batch, found: Sequence[LandedFile], evolution: Evolution) -> Commit:
    """The commit that holds the batch's rows; the table's other rows too, where these have to be written again."""
    source, before, location = batch.source, batch.before, batch.location
    stands = standing(before, evolution.schema) if before and evolution.rewrites else iter(())
    stood = present(location)
    rows = chain(stands, batch.rows(found, evolution))
    staged = stage(rows, evolution.schema, location, (source.partition,) if source.partition else ())
    with undone_on_failure(staged, stood):
        written = before.rows if before and evolution.rewrites else 0
        batch.require_accounted(staged.rows - written)
        batch.require_asked(staged)
        if before is not None and not staged.rows and not evolution.rewrites:
            return Commit(before.version, 0, 0, (), unchanged=True)
        return delta.commit(
            staged,
            read=before,
            replaced=before.files if before and evolution.rewrites else (),
            transactions={APP_ID: batch.sequence},
            evidence={"columns": list(evolution.changes), "quarantined": batch.counts.quarantined},
        )


def _manifest(source: Source, rows: TableSnapshot | None, lakehouse: Lakehouse) -> Manifest:
    return Manifest.load(lakehouse.table(f"{source.key}__manifest"), source.partition, rows)


def _known(path: str, files: FileSystem, manifest: Manifest, source: Source, room_bytes: int = 0) -> LandedFile:
    """The file; refuses one that was seen with another content, where the source does."""
    file = identified(path, files, room_bytes)
    if source.on_change == "refuse" and _changed(file, manifest):
        raise SourceError(
            f"{path} holds other rows than when it was ingested, but a landed file never changes",
            allowed="Its source takes it as a further version where it says on_change: ingest",
            remedy="Land the correction under a new name",
        )
    if manifest.is_taken_back(path, file.digest):
        raise SourceError(
            f"{path} holds again what it held before it was corrected, but these rows are in {source.key} already, and "
            "of its versions the correction would stay the last",
            remedy="Land it once more with any difference, for instance an empty line at its end",
        )
    return file


def _changed(file: LandedFile, manifest: Manifest) -> bool:
    seen = manifest.digests_of(file.path)
    return bool(seen) and file.digest not in seen
