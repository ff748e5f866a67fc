"""Staging: rows written as Parquet files into a table's folder, named by the digest of their content.

A staged file is invisible until `engine.delta.commit` names it in the table's log. Because its name is its content, the
same rows staged twice are the same files, and a table that did not change is recognised by its file names alone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_platform.engine.files import filesystem
from ml_platform.records.table import DataFile, Location, StagedFiles

_FILE_BYTES = 64 * 2**20
_GROUP_ROWS = 122_880
_LONGEST_STATISTIC = 64


def stage(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, target: Location, partition_by: tuple[str, ...] = ()
) -> StagedFiles:
    """The batches as files of at most about 64 MiB in the target's folder, not committed.

    batches: in the order in which rows are to stand in the files; cast to `schema` where they differ only in width.
    partition_by: columns that become folders and leave the files; their values are text and not null.
    """
    schema = storable(schema)
    files = filesystem(target)
    writers: dict[tuple[str, ...], _FileWriter] = {}
    done: list[DataFile] = []
    for batch in batches:
        for values, part in _split(batch.cast(schema), partition_by):
            writer = writers.setdefault(values, _FileWriter(part.schema, dict(zip(partition_by, values, strict=True))))
            writer.write(part)
            if writer.full:
                done.append(writers.pop(values).finish(files))
    done += [writer.finish(files) for writer in writers.values()]
    return StagedFiles(target, schema, partition_by, tuple(done))


def storable(schema: pa.Schema) -> pa.Schema:
    """The schema in the types that every Delta reader knows: plain strings, microseconds UTC, signed integers."""
    return pa.schema([pa.field(field.name, _storable(field.type)) for field in schema])


def _storable(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _storable(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_unsigned_integer(kind):
        return pa.int32() if kind.bit_width < 32 else pa.int64()
    return kind


def _split(batch: pa.RecordBatch, by: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], pa.RecordBatch]]:
    if not by:
        yield (), batch
        return
    keys = pa.Table.from_batches([batch]).select(list(by)).group_by(list(by)).aggregate([])
    for row in keys.to_pylist():
        chosen = batch
        for column in by:
            match = pc.is_null(chosen[column]) if row[column] is None else pc.equal(chosen[column], row[column])
            chosen = chosen.filter(match)
        yield tuple("" if row[c] is None else str(row[c]) for c in by), chosen.drop_columns(list(by))


class _FileWriter:
    """One Parquet file in memory, until it is full or finished."""

    def __init__(self, schema: pa.Schema, partition: Mapping[str, str]) -> None:
        self._buffer = pa.BufferOutputStream()
        self._parquet = pq.ParquetWriter(self._buffer, schema, compression="zstd", compression_level=1)
        self._partition = partition
        self._waiting: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        if sum(len(waiting) for waiting in self._waiting) >= _GROUP_ROWS:
            self._flush()

    @property
    def full(self) -> bool:
        return bool(self._buffer.tell() >= _FILE_BYTES)

    def _flush(self) -> None:
        if self._waiting:
            self._parquet.write_table(pa.Table.from_batches(self._waiting).combine_chunks(), row_group_size=_GROUP_ROWS)
            self._waiting = []

    def finish(self, files: Any) -> DataFile:
        self._flush()
        self._parquet.close()
        content = self._buffer.getvalue()
        name = f"{hashlib.sha256(content).hexdigest()}.parquet"
        folder = "/".join(f"{column}={quote(value, safe='')}" for column, value in self._partition.items())
        path = f"{folder}/{name}" if folder else name
        if folder:
            files.create_dir(folder, recursive=True)
        temporary = f"{path}.writing"
        with files.open_output_stream(temporary) as stream:
            stream.write(content)
        files.move(temporary, path)
        footer = pq.ParquetFile(pa.BufferReader(content)).metadata
        return DataFile(path, len(content), footer.num_rows, self._partition, _statistics(footer))


def _statistics(footer: Any) -> str:
    """The file's footer as the statistics of the Delta protocol."""
    lows: dict[str, Any] = {}
    highs: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index in range(footer.num_columns):
        chunks = [footer.row_group(group).column(index) for group in range(footer.num_row_groups)]
        name = footer.schema.column(index).name
        known = [chunk.statistics for chunk in chunks if chunk.statistics is not None]
        if len(known) < len(chunks) or not known:
            continue
        nulls[name] = sum(statistics.null_count for statistics in known)
        bounds = [_bounds(statistics) for statistics in known if statistics.has_min_max]
        if bounds and all(bound is not None for bound in bounds):
            lows[name] = min(bound[0] for bound in bounds if bound)
            highs[name] = max(bound[1] for bound in bounds if bound)
    return json.dumps({"numRecords": footer.num_rows, "minValues": lows, "maxValues": highs, "nullCount": nulls})


def _bounds(statistics: Any) -> tuple[Any, Any] | None:
    """The lowest and highest value as JSON can hold them; None where the protocol has no exact form."""
    low, high = statistics.min, statistics.max
    if isinstance(low, datetime):
        return _instant(low), _instant(high)
    if isinstance(low, date):
        return low.isoformat(), high.isoformat()
    if isinstance(low, str) and max(len(low), len(high)) <= _LONGEST_STATISTIC:
        return low, high
    if isinstance(low, bool) or not isinstance(low, int | float):
        return None
    return None if math.isnan(low) or math.isnan(high) or math.isinf(low) or math.isinf(high) else (low, high)


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment.tzinfo else moment.isoformat()


def discard(staged: StagedFiles, keep: Collection[str]) -> None:
    """The staged files are gone, but for the paths that a table still names."""
    files = filesystem(staged.location)
    for file in staged.files:
        if file.path not in keep:
            files.delete_file(file.path)
