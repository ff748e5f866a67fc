"""Landed files: which of them are a source's, what they hold, and which partitions their rows belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileSelector, FileSystem, FileType

from ml_platform.engine.column_types import arrow_type
from ml_platform.engine.landed_file import LandedFile, Watched
from ml_platform.engine.pattern import matches, reach
from ml_platform.engine.source_files import format_of, kinds, parts
from ml_platform.engine.source_rows import COLUMNS, PARTITION, TYPE, Misfit, Part, shown
from ml_platform.errors import SourceError

if TYPE_CHECKING:
    from ml_platform.engine.ingest import Source

# What the name of a local file ends in until it stands whole.
WRITING = ".writing"


def offered(source: Source, files: FileSystem) -> list[str]:
    """The paths that match the source's pattern, sorted."""
    return matching(files, source.pattern)


def nothing_offered(source: Source, files: FileSystem) -> SourceError:
    """The error for a source that no landed file matches."""
    landed = paths(files)
    return SourceError(
        f"{source.key} reads {source.pattern}, but no landed file of {source.landing} matches it",
        allowed=f"Landed are {', '.join(landed[:5])} and {max(0, len(landed) - 5)} more" if landed else "",
        remedy=f"Materialize {source.landing}, or mend files in its defs.yaml",
    )


def rows_of(
    source: Source,
    file: LandedFile,
    files: FileSystem,
    every: Sequence[str],
    added: Mapping[str, str] | None = None,
    *,
    seen: bool = False,
) -> Iterator[Part]:
    """The file's rows in its order, with their partition where the source has one.

    every: all partitions there are. added: columns beyond the declared ones, NULL where the file does not have them.
    seen: whether the file was read before; a column that it does not have was declared since, and is NULL.
    Raises SourceError for a file that is gone, damaged, not as declared, or no longer the one that was identified, and
    for a row outside all partitions; rows that the source quarantines are misfits instead.
    """
    declared = _present(source, file, files, source.columns) if seen else source.columns
    columns = {**(declared or source.columns), **_present(source, file, files, added or {})}
    with Watched(file, files) as watched:
        for part in parts(watched, file.path, columns, source.format, refused=refused(source)):
            rows = _padded(part.rows, {**source.columns, **(added or {})})
            yield _in_partitions(source, Part(rows, part.offsets, part.misfits), every, file.path)
        watched.require_same()


def refused(source: Source) -> set[str]:
    """The rules of which a row that breaks one fails the whole; a row that breaks another is quarantined."""
    types = {TYPE, PARTITION} if source.misfits == "fail" else set()
    return types | (set() if source.new_columns == "quarantine" else {COLUMNS})


def strange(source: Source, path: str, files: FileSystem) -> dict[str, str]:
    """The columns of a file that its source does not declare, each with its type.

    Raises SourceError for one whose type tables do not hold.
    """
    found = {name: kind for name, kind in kinds(files, path, source.format).items() if name not in source.columns}
    for name, kind in found.items():
        if kind is None:
            raise SourceError(
                f"{path} has a new column {name} of a type that no column has, but it is to be added",
                remedy="Land the file without it, or with plain values in it",
            )
    return {name: kind for name, kind in found.items() if kind is not None}


def counted(parts: Iterator[Part], source: Source) -> dict[str, int]:
    """Partition → rows of one file; an unpartitioned source has the one partition of an empty name."""
    if not source.partition:
        return {"": sum(part.rows.num_rows for part in parts)}
    counts: dict[str, int] = {}
    for part in parts:
        for row in pc.value_counts(part.rows[source.partition]).to_pylist():
            counts[row["values"]] = counts.get(row["values"], 0) + row["counts"]
    return counts


def matching(files: FileSystem, pattern: str) -> list[str]:
    """The paths that match, sorted. Nothing is looked at where none can lie, so that nothing there can be wrong."""
    folder, below = reach(pattern)
    return [path for path in paths(files, folder, below=below) if matches(path, pattern)]


def paths(files: FileSystem, folder: str = "", *, below: bool = True) -> list[str]:
    """The paths of all files in a folder, sorted, none where a file has its name; one being written is not there yet.

    below: those in its folders too.

    An object store lists an empty object as well that its console makes for a folder; to ask for it finds no file.
    Raises SourceError for a name that is no UTF-8, which nothing could open.
    """
    try:
        found = files.get_file_info(FileSelector(folder, recursive=below, allow_not_found=True))
        every = [it for it in found if it.type == FileType.File and not it.path.endswith(WRITING)]
        return sorted(it.path for it in every if it.size or _is_file(files, it.path))
    except NotADirectoryError:
        return []
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{error.object.decode(errors='surrogateescape')!a} is the name of a file, but it is no UTF-8",
            remedy="Rename the file",
        ) from error


def _is_file(files: FileSystem, path: str) -> bool:
    return bool(path) and files.get_file_info(path).type == FileType.File


def _present(source: Source, file: LandedFile, files: FileSystem, columns: Mapping[str, str]) -> Mapping[str, str]:
    """The columns that the file may have; of JSON lines each may have its own."""
    if not columns or format_of(file.path, source.format) == "jsonl":
        return columns
    header = kinds(files, file.path, source.format)
    return {name: kind for name, kind in columns.items() if name in header}


def _padded(rows: pa.RecordBatch, added: Mapping[str, str]) -> pa.RecordBatch:
    for name, kind in added.items():
        if name not in rows.schema.names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, arrow_type(kind)))
    return rows


def _in_partitions(source: Source, part: Part, every: Sequence[str], path: str) -> Part:
    if not source.partition:
        return part
    rows = part.rows.append_column(source.partition, _months(source, part.rows[source.partition_of]))
    months = rows[source.partition]
    outside = sorted("NULL" if it is None else it for it in pc.unique(months).to_pylist() if it not in every)
    if not outside:
        return Part(rows, part.offsets, part.misfits)
    why = f"{path} has rows whose {source.partition} is {', '.join(outside)}, but there is no such partition"
    if PARTITION in refused(source):
        raise SourceError(
            why,
            allowed=f"Partitions go from {every[0]} to {every[-1]}, by {source.partition_of}",
            remedy="Mend the file, or widen partitions in domain.yaml",
        )
    inside = pc.is_in(months, pa.array(every, pa.string()))
    misfits = [
        Misfit(
            part.offsets[at].as_py(),
            PARTITION,
            f"{source.partition} is {months[at].as_py() or 'NULL'}, but there is no such partition",
            shown(part.rows.slice(at, 1)),
        )
        for at in pc.indices_nonzero(pc.invert(inside)).to_pylist()
    ]
    misfits = sorted((*part.misfits, *misfits), key=lambda it: it.offset)
    return Part(rows.filter(inside), part.offsets.filter(inside), tuple(misfits))


def _months(source: Source, column: pa.Array) -> pa.Array:
    """The month of each row, `2013-01`, in the source's time zone."""
    import polars as pl

    moments = pl.Series(column)
    if isinstance(moments.dtype, pl.Datetime):
        moments = moments.dt.convert_time_zone(source.timezone)
    return moments.dt.strftime("%Y-%m").to_arrow().cast(pa.string())
