"""Source files: landed CSV read strictly as its source declares it.

A file is UTF-8, with or without a byte order mark, its lines ending in LF or CRLF; a quoted field may hold commas, line
breaks and doubled quotes. One whose name ends in `.gz` is compressed.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow.fs import FileSystem

from ml_platform.errors import SourceError, nearest

TYPES = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The declared columns as an Arrow schema."""
    return pa.schema([pa.field(name, TYPES[kind]) for name, kind in columns.items()])


def read_csv(files: FileSystem, path: str, columns: Mapping[str, str]) -> pa.Table:
    """The rows of one file, as `parse` gives them. Raises SourceError also for a file that is not there."""
    return parse(path, content_of(files, path), columns)


def content_of(files: FileSystem, path: str) -> bytes:
    """The bytes of one file as they landed, compressed or not. Raises SourceError where it is not there."""
    try:
        with files.open_input_stream(path, compression=None) as stream:
            return bytes(stream.read())
    except FileNotFoundError as error:
        raise gone(path) from error


def gone(path: str) -> SourceError:
    """The error for a file that was there a moment ago."""
    return SourceError(f"{path} was listed, but it is gone", remedy="Land it again, or run again")


def parse(path: str, content: bytes, columns: Mapping[str, str]) -> pa.Table:
    """The rows of one file's bytes, in its order; an empty field is NULL, an empty line is no row.

    path: the file's name. columns: name → declared type; the table's, in this order. Where there is only one column,
    an empty line is a row. Raises SourceError, naming the file, for one that is empty or cut off, for a column that is
    gone or was never declared, and for a field that its column's type cannot hold.
    """
    text = _inflated(path, content) if path.endswith(".gz") else content
    _require_whole(path, text)
    _require_columns(path, _header(path, text), columns)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            # One thread: only then does a fault come with the number of its row.
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(columns) > 1),
            convert_options=arrow_csv.ConvertOptions(
                column_types=arrow_schema(columns),
                strings_can_be_null=True,
                null_values=[""],
                true_values=["true"],
                false_values=["false"],
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{path} cannot be read as declared: {error}",
            allowed=f"Its columns are {', '.join(f'{name} {kind}' for name, kind in columns.items())}",
            remedy="Mend the file and land it again; nothing of it was taken",
        ) from error
    return table.select(list(columns))


def _inflated(path: str, content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged(path, f"no whole gzip file ({error})") from error


def _header(path: str, text: bytes) -> Sequence[str]:
    line, _, _ = text.partition(b"\n")
    try:
        return next(csv.reader([line.decode("utf-8-sig")]), [])
    except UnicodeDecodeError as error:
        raise _damaged(path, "not UTF-8") from error


def _require_whole(path: str, text: bytes) -> None:
    if not text:
        raise _damaged(path, "empty")
    if not text.endswith(b"\n"):
        raise _damaged(path, "cut off in its last line")
    if text.count(b'"') % 2:
        raise _damaged(path, "cut off inside a quoted field, or has a quote that is not doubled")


def _damaged(path: str, what: str) -> SourceError:
    return SourceError(
        f"{path} is {what}, but a whole file has a header and ends with a line break",
        remedy="Land it again; nothing of it was taken",
    )


def _require_columns(path: str, header: Sequence[str], columns: Mapping[str, str]) -> None:
    gone = [name for name in columns if name not in header]
    strange = [name for name in header if name not in columns]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if gone:
        raise SourceError(
            f"{path} has no column {', '.join(gone)}, but its source declares it",
            allowed=nearest(gone[0], header),
            remedy="Land the file with the column, or change columns in the source's defs.yaml",
        )
    if strange:
        raise SourceError(
            f"{path} has a column {', '.join(strange)} that its source does not declare, but it would be lost",
            allowed=nearest(strange[0], columns),
            remedy="Declare it in columns in the source's defs.yaml",
        )
    if twice:
        raise SourceError(
            f"{path} has the column {', '.join(twice)} twice, but only one of them could be taken",
            remedy="Land the file with each column once",
        )
