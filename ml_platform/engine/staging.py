"""Staging: rows written as Parquet files into a table's folder, named by the digest of their content.

A staged file is invisible until `engine.delta.commit` names it in the table's log. Because its name is its content, the
same rows staged twice are the same files, and a table that did not change is recognised by its file names alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem, FileType

from ml_platform.engine import claims, delta, intent
from ml_platform.engine.batches import behind, beside, by_partition, evenly
from ml_platform.engine.column_types import same_but_for_case
from ml_platform.engine.file_statistics import statistics
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.held import holds
from ml_platform.engine.parquet_writer import writer
from ml_platform.errors import AuditError
from ml_platform.records.table import DataFile, Location, StagedFiles

_FILE_BYTES = 64 * 2**20
_GROUP_ROWS = 122_880
# What all partitions together may hold in memory: rows that are no row group yet, and bytes of files that are not full.
_WAITING_ROWS = 8 * _GROUP_ROWS
_OPEN_BYTES = 4 * _FILE_BYTES

GRACE_SECONDS = 24 * 3600
"""How long a file is left alone after it was staged, though no table names it: whoever staged it may be about to."""


def stage(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, target: Location, partition_by: tuple[str, ...] = ()
) -> StagedFiles:
    """The batches as files of at most about 64 MiB in the target's folder, not committed.

    batches: in the order in which rows are to stand in the files; how rows are divided into batches changes nothing.
    A few hundred MiB are held at the most, however many rows and partitions come.
    partition_by: columns that become folders and leave the files; their values are text and not null.
    Raises AuditError for a column, or a value, of a kind that tables do not hold; a failure leaves no file behind.
    """
    schema = storable(schema, target.key)
    files = filesystem(target)
    writers: dict[tuple[str, ...], _PartitionWriter] = {}

    def write(batch: pa.Table) -> None:
        for values, part in by_partition(batch, partition_by):
            if values not in writers:
                writers[values] = _PartitionWriter(target, files, dict(zip(partition_by, values, strict=True)))
            writers[values].write(part)
        _relieve(writers)

    try:
        behind(write, evenly((_cast(batch, schema, target.key) for batch in _allowed(batches)), _GROUP_ROWS))
        done = tuple(chain.from_iterable(beside(_PartitionWriter.finish, writers.values())))
    except BaseException:
        for writer in writers.values():
            writer.undo()
        raise
    return StagedFiles(target, schema, partition_by, done)


def _allowed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; under a plan, none that has a row."""
    for batch in batches:
        if batch.num_rows:
            intent.about_to("change", "rows are to be written")
        yield batch


def storable(schema: pa.Schema, key: str) -> pa.Schema:
    """The schema in the types that every Delta reader knows: plain strings, microseconds UTC, signed integers.

    key: whose rows they are, for errors. Raises AuditError for a type that tables do not hold, and for two columns
    whose names differ in case only.
    """
    alike = same_but_for_case(schema.names)
    if alike:
        raise AuditError(
            f"{key} has the columns {' and '.join(alike)}, but no two columns of a table differ in case only",
            remedy="Give one of them another name",
        )
    kinds = {field.name: _storable(field.type) for field in schema}
    for name, kind in kinds.items():
        refused = (pa.types.is_null, pa.types.is_time, pa.types.is_duration, pa.types.is_interval, pa.types.is_float16)
        if any(is_refused(kind) for is_refused in refused):
            raise AuditError(
                f"{key} has a column {name} of type {kind}, but tables hold no such values",
                allowed="Numbers, texts, booleans, dates, timestamps and decimals are held",
                remedy="Cast it in the query, for instance CAST(NULL AS VARCHAR)",
            )
    return pa.schema([pa.field(name, kind) for name, kind in kinds.items()])


def present(location: Location) -> frozenset[str]:
    """The paths of all files in the table's folder, whether or not its log names them."""
    found = filesystem(location).get_file_info(FileSelector("", recursive=True, allow_not_found=True))
    every = (info.path for info in found if info.type == FileType.File)
    return frozenset(path for path in every if not path.startswith(f"{claims.FOLDER}/"))


@contextmanager
def undone_on_failure(staged: StagedFiles, stood: Collection[str]) -> Iterator[None]:
    """Where the block fails, the staged files are gone that neither stood before nor are in the table by now.

    stood: what `present` said before they were staged; an older version may be made of such a file.
    """
    try:
        yield
    except BaseException:
        table = delta.snapshot(staged.location)
        discard(staged, {*stood, *(file.path for file in (table.files if table else ()))})
        raise


def discard(staged: StagedFiles, keep: Collection[str], *, at_once: bool = False) -> None:
    """The staged files are gone, but for the paths that a table still names, and what another run may commit.

    at_once: in an object store too, of what was staged a moment ago.
    """
    paths = [file.path for file in staged.files if file.path not in keep]
    claims.withdraw(staged.location, paths, at_once=at_once)


def _relieve(writers: Mapping[tuple[str, ...], _PartitionWriter]) -> None:
    """What waits in memory is within its limits, the partitions that hold the most written first."""
    while sum(writer.waiting_rows for writer in writers.values()) > _WAITING_ROWS:
        max(writers.items(), key=lambda one: (one[1].waiting_rows, one[0]))[1].end_group()
    while sum(writer.open_bytes for writer in writers.values()) > _OPEN_BYTES:
        max(writers.items(), key=lambda one: (one[1].open_bytes, one[0]))[1].end_file()


class _PartitionWriter:
    """The files of one partition, one of them at a time in memory until it is full.

    waiting_rows: rows that are in no row group yet. open_bytes: of the file that is not full yet.
    """

    def __init__(self, location: Location, files: FileSystem, partition: Mapping[str, str]) -> None:
        self._location, self._files = location, files
        self._partition = partition
        self._waiting: list[pa.Table] = []
        self._buffer = pa.BufferOutputStream()
        self._parquet: pq.ParquetWriter | None = None
        self._done: list[DataFile] = []
        self._new: list[str] = []
        self.waiting_rows = 0
        self.open_bytes = 0

    def write(self, batch: pa.Table) -> None:
        """Row groups are cut by their number of rows alone, so that files do not depend on how batches were cut."""
        while batch.num_rows:
            part = batch.slice(0, _GROUP_ROWS - self.waiting_rows)
            batch = batch.slice(part.num_rows)
            self._waiting.append(part)
            self.waiting_rows += part.num_rows
            if self.waiting_rows == _GROUP_ROWS:
                self.end_group()

    def finish(self) -> list[DataFile]:
        if self.waiting_rows:
            self.end_group()
        if self._parquet is not None:
            self.end_file()
        return self._done

    def undo(self) -> None:
        """What was written here, and was not there before, is gone."""
        claims.withdraw(self._location, self._new, at_once=True)

    def end_group(self) -> None:
        """The rows that wait are a row group, and the file is done where that fills it."""
        group = pa.concat_tables(self._waiting).combine_chunks()
        if self._parquet is None:
            self._buffer = pa.BufferOutputStream()
            self._parquet = writer(self._buffer, group)
        self._parquet.write_table(group, row_group_size=_GROUP_ROWS)
        self._waiting, self.waiting_rows = [], 0
        self.open_bytes = self._buffer.tell()
        if self.open_bytes >= _FILE_BYTES:
            self.end_file()

    def end_file(self) -> None:
        """The row groups that there are stand as a file, named by the digest of its content."""
        if self._parquet is None:
            raise AssertionError("a file without a row group has nothing to end")
        self._parquet.close()
        self._parquet, self.open_bytes = None, 0
        content = self._buffer.getvalue()
        folder = "/".join(f"{column}={quote(value, safe='')}" for column, value in self._partition.items())
        name = f"{hashlib.sha256(content).hexdigest()}.parquet"
        path = f"{folder}/{name}" if folder else name
        self._put(path, folder, content)
        footer = pq.ParquetFile(pa.BufferReader(content)).metadata
        self._done.append(DataFile(path, len(content), footer.num_rows, self._partition, statistics(footer)))

    def _put(self, path: str, folder: str, content: pa.Buffer) -> None:
        """The file stands whole or not at all; one that stands already is claimed, or written anew if it may be swept.

        What no table names any more is swept by its age, so that a file which is wanted again has to be young again.
        """
        found = self._files.get_file_info(path)
        young = found.mtime is not None and time.time() - found.mtime.timestamp() < GRACE_SECONDS / 2
        if found.size == len(content) and not young:
            put(self._files, path, content)
            return
        if found.size == len(content) and claims.adopt(self._location, self._files, path):
            return
        if folder:
            self._files.create_dir(folder, recursive=True)
        if claims.place(self._location, self._files, path, content):
            self._new.append(path)


def _storable(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _storable(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_unsigned_integer(kind):
        return pa.int32() if kind.bit_width < 32 else pa.int64()
    return kind


def _cast(batch: pa.RecordBatch, schema: pa.Schema, key: str) -> pa.RecordBatch:
    try:
        cast = batch.cast(schema)
    except pa.ArrowInvalid as error:
        raise AuditError(
            f"{key} has a value that its table cannot hold, but nothing is rounded or cut: {error}",
            allowed="Tables hold integers of 64 bits and times to the microsecond",
            remedy="Cast the column in the query",
        ) from error
    for name, column in zip(schema.names, cast.columns, strict=True):
        if (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)) and not holds(column):
            raise AuditError(
                f"{key} has a column {name} with a {column.type} outside the years 1 to 9999, but tables hold no other",
                allowed="Delta's readers take these years",
                remedy="Leave the row out in the query, or make it another moment, or NULL",
            )
    return cast
