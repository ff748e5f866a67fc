"""Landed files: which of them are a source's, what they hold, and which partitions their rows belong to."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileSelector, FileSystem, FileType

from ml_platform.engine.source_files import content_of, gone, parse
from ml_platform.errors import SourceError

if TYPE_CHECKING:
    from ml_platform.engine.ingest import Source

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class LandedFile:
    """One file as it landed. path: in its landing folder; digest: of its bytes, hexadecimal."""

    path: str
    digest: str
    size_bytes: int


def offered(source: Source, files: FileSystem) -> list[str]:
    """The paths that match the source's pattern, sorted."""
    return [path for path in _paths(files) if fnmatch.fnmatchcase(path, source.pattern)]


def nothing_offered(source: Source, files: FileSystem) -> SourceError:
    """The error for a source that no landed file matches."""
    paths = _paths(files)
    return SourceError(
        f"{source.key} reads {source.pattern}, but no landed file of {source.landing} matches it",
        allowed=f"Landed are {', '.join(paths[:5])} and {max(0, len(paths) - 5)} more" if paths else "",
        remedy=f"Materialize {source.landing}, or mend files in its defs.yaml",
    )


def identified(path: str, files: FileSystem) -> LandedFile:
    """The file with the digest of its bytes, of which a megabyte at a time is held."""
    digest, size = hashlib.sha256(), 0
    try:
        with files.open_input_stream(path, compression=None) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
    except FileNotFoundError as error:
        raise gone(path) from error
    return LandedFile(path, digest.hexdigest()[:32], size)


def rows_of(source: Source, file: LandedFile, files: FileSystem) -> pa.Table:
    """The file's rows in its order, with their partition where the source has one.

    Raises SourceError for a file that is gone, damaged, not as declared, or no longer the one that was identified.
    """
    content = content_of(files, file.path)
    if hashlib.sha256(content).hexdigest()[:32] != file.digest:
        raise SourceError(
            f"{file.path} was written to while it was read, but a landed file never changes",
            remedy="Land files whole, for instance by renaming them into place; then run again",
        )
    table = parse(file.path, content, source.columns)
    return table.append_column(source.partition, _months(source, table)) if source.partition else table


def counted(source: Source, table: pa.Table, every: Sequence[str], path: str) -> dict[str, int]:
    """Partition → rows of one file; an unpartitioned source has the one partition of an empty name.

    every: all partitions there are. Raises SourceError, naming the file, for a row outside them.
    """
    if not source.partition:
        return {"": table.num_rows}
    counts = {row["values"]: row["counts"] for row in pc.value_counts(table[source.partition]).to_pylist()}
    outside = sorted("NULL" if value is None else value for value in counts if value not in every)
    if outside:
        raise SourceError(
            f"{path} has rows whose {source.partition} is {', '.join(outside)}, but there is no such partition",
            allowed=f"Partitions go from {every[0]} to {every[-1]}, by {source.partition_of}",
            remedy="Mend the file, or widen partitions in domain.yaml",
        )
    return counts


def _paths(files: FileSystem) -> list[str]:
    found = files.get_file_info(FileSelector("", recursive=True, allow_not_found=True))
    return sorted(info.path for info in found if info.type == FileType.File)


def _months(source: Source, table: pa.Table) -> pa.Array:
    """The month of each row, `2013-01`, in the source's time zone."""
    import polars as pl

    column = pl.Series(table[source.partition_of])
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.convert_time_zone(source.timezone)
    return column.dt.strftime("%Y-%m").to_arrow().cast(pa.string())
