"""Compaction: small files of a partition rewritten as few, rows unchanged, in a commit that changes no data.

What is rewritten stands for what it replaces (`engine.file_name`), so that no fingerprint moves and nothing downstream
is stale. Where columns to cluster by are given, rewritten rows are sorted by them, and a partition whose files overlap
in the first of them is rewritten whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml_platform.engine import delta
from ml_platform.engine.file_name import standing_for, total
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.plan import quoted
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import discard, present, stage, undone_on_failure
from ml_platform.errors import AuditError
from ml_platform.records.table import DataFile, StagedFiles, TableSnapshot
from ml_platform.roles.compute import Compute

SMALL_BYTES = 32 * 2**20
_RELATION = "compaction.rows"
_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Rewrite:
    """Files of one partition and those that take their place, staged."""

    partition: tuple[str, ...]
    old: tuple[DataFile, ...]
    new: tuple[DataFile, ...]


@dataclass(frozen=True)
class Compacted:
    """What became of a table's files. rewritten, gave_way: partitions, as their values joined by `/`."""

    before: TableSnapshot
    after: TableSnapshot
    rewritten: tuple[str, ...]
    gave_way: tuple[str, ...]


def compact(before: TableSnapshot, cluster_by: Sequence[str], compute: Compute, small: int = SMALL_BYTES) -> Compacted:
    """The table with its small files rewritten; a partition whose files a writer replaced meanwhile is left to it.

    small: bytes under which a file is rewritten together with others of its partition.
    Raises AuditError where the rewritten rows are not as many as there were; nothing is committed then.
    """
    work = {values: files for values, found in _parts(before) if (files := _chosen(found, cluster_by, before, small))}
    if not work:
        return Compacted(before, before, (), ())
    stood = present(before.location)
    rewrites: list[Rewrite] = []
    everything = StagedFiles(before.location, before.schema, before.partition_by, ())
    try:
        for values, files in work.items():
            rewrites.append(_rewritten(values, replace(before, files=files), cluster_by, compute, stood))
        return until_undisputed(lambda: _committed(before, rewrites))
    finally:
        new = tuple(file for rewrite in rewrites for file in rewrite.new)
        stands = {file.path for file in delta.existing(before.location).files}
        discard(replace(everything, files=new), {*stood, *stands})


def _parts(of: TableSnapshot) -> Iterator[tuple[tuple[str, ...], list[DataFile]]]:
    parts: dict[tuple[str, ...], list[DataFile]] = {}
    for file in of.files:
        parts.setdefault(tuple(file.partition[column] for column in of.partition_by), []).append(file)
    yield from parts.items()


def _chosen(
    files: Sequence[DataFile], cluster_by: Sequence[str], of: TableSnapshot, small: int
) -> tuple[DataFile, ...] | None:
    """The files of a partition that are to be rewritten; None where it is in shape."""
    if cluster_by and len(files) > 1 and _overlap(replace(of, files=tuple(files)), cluster_by[0]):
        return tuple(files)
    few = tuple(file for file in files if file.size_bytes < small)
    return few if len(few) > 1 else None


def _overlap(of: TableSnapshot, column: str) -> bool:
    """Whether two files hold values of the column in ranges that overlap, by their footers; NULL is in no range."""
    ranges = sorted(bounds for file in of.files if (bounds := _bounds(of, file, column)))
    return any(low < high for (_, high), (low, _) in pairwise(ranges))


def _bounds(of: TableSnapshot, file: DataFile, column: str) -> tuple[Any, Any] | None:
    with filesystem(of.location).open_input_file(file.path) as stream:
        footer = pq.ParquetFile(stream).metadata
    if column not in footer.schema.names:
        return None
    at = footer.schema.names.index(column)
    groups = [footer.row_group(number).column(at).statistics for number in range(footer.num_row_groups)]
    known = [group for group in groups if group is not None and group.has_min_max]
    return (min(group.min for group in known), max(group.max for group in known)) if known else None


def _rewritten(
    values: tuple[str, ...], old: TableSnapshot, cluster_by: Sequence[str], compute: Compute, stood: frozenset[str]
) -> Rewrite:
    staged = _staged(old, cluster_by, compute)
    with undone_on_failure(staged, stood):
        if staged.rows != old.rows:
            raise AuditError(
                f"{old.location.key} has {old.rows} rows in the files to rewrite, but {staged.rows} came of them",
                remedy="The table still stands at its last version; run the audit on it",
            )
        new = _marked(staged, old) if staged.files else ()
        # What was staged under its plain name and is now named otherwise is of no use.
        discard(staged, {*stood, *(file.path for file in new)}, at_once=True)
    return Rewrite(values, old.files, new)


def _staged(old: TableSnapshot, cluster_by: Sequence[str], compute: Compute) -> StagedFiles:
    if not cluster_by:
        return stage(_in_order(old), old.schema, old.location, old.partition_by)
    columns = ", ".join(quoted(column) for column in cluster_by)
    query = f"SELECT * FROM {_RELATION} ORDER BY {columns}"
    return compute.stage(query, {_RELATION: old}, old.location, old.partition_by)


def _in_order(old: TableSnapshot) -> Iterator[pa.RecordBatch]:
    """The rows, file after file, a batch at a time; a column that came to the table later is NULL."""
    files = filesystem(old.location)
    for file in old.files:
        with files.open_input_file(file.path) as stream:
            for batch in pq.ParquetFile(stream, pre_buffer=False).iter_batches(_BATCH_ROWS):
                yield _whole(batch, file, old.schema)


def _whole(batch: pa.RecordBatch, file: DataFile, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        batch[field.name].cast(field.type)
        if field.name in batch.schema.names
        else pa.array([file.partition.get(field.name)] * batch.num_rows, field.type)
        for field in schema
    ]
    return pa.record_batch(columns, schema=schema)


def _marked(staged: StagedFiles, old: TableSnapshot) -> tuple[DataFile, ...]:
    """The staged files, the first of them named so that all stand for what the old ones stand for."""
    first, *others = staged.files
    wanted = total(file.path for file in old.files) - total(file.path for file in others)
    marked = replace(first, path=standing_for(first.path, wanted))
    files = filesystem(staged.location)
    with files.open_input_stream(first.path) as stream:
        put(files, marked.path, stream.read())
    return (marked, *others)


def _committed(before: TableSnapshot, rewrites: Sequence[Rewrite]) -> Compacted:
    """The rewrites stand on what stands now, but for those of whose files one has gone meanwhile."""
    now = delta.existing(before.location)
    stands = {file.path for file in now.files}
    valid = [one for one in rewrites if {file.path for file in one.old} <= stands and now.schema == before.schema]
    gave_way = tuple(_name(one) for one in rewrites if one not in valid)
    if not valid:
        return Compacted(now, now, (), gave_way)
    new = tuple(file for one in valid for file in one.new)
    replaced = [file for one in valid for file in one.old]
    staged = StagedFiles(before.location, now.schema, now.partition_by, new)
    evidence = {"maintenance": {"partitions": [_name(one) for one in valid], "fingerprint": delta.fingerprint(now)}}
    delta.commit(staged, read=now, replaced=replaced, transactions={}, evidence=evidence, data_change=False)
    after = delta.existing(before.location)
    return Compacted(now, after, tuple(_name(one) for one in valid), gave_way)


def _name(of: Rewrite) -> str:
    return "/".join(of.partition)
