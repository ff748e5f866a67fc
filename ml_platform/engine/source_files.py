"""Source files: landed CSV read strictly as its source declares it."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pyarrow import csv
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
    """The rows of one file, in its order; an empty field is NULL.

    columns: name → declared type. Raises SourceError, naming the file, for one that is empty or cut off, for a column
    that is gone or was never declared, and for a field that its column's type cannot hold.
    """
    with files.open_input_stream(path) as stream:
        content = stream.read()
    _require_whole(path, content)
    header = content[: content.index(b"\n")].decode().rstrip("\r").replace('"', "").split(",")
    _require_columns(path, header, columns)
    try:
        table = csv.read_csv(
            pa.BufferReader(content),
            # One thread: only then does a fault come with the number of its row.
            read_options=csv.ReadOptions(use_threads=False),
            convert_options=csv.ConvertOptions(
                column_types=arrow_schema(columns), strings_can_be_null=True, null_values=[""], true_values=["true"]
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{path} cannot be read as declared: {error}",
            allowed=f"Its columns are {', '.join(f'{name} {kind}' for name, kind in columns.items())}",
            remedy="Mend the file and land it again; nothing of it was taken",
        ) from error
    return table.select(list(columns))


def _require_whole(path: str, content: bytes) -> None:
    if not content.endswith(b"\n"):
        found = "cut off in its last line" if content else "empty"
        raise SourceError(
            f"{path} is {found}, but a whole file has a header and ends with a line break",
            remedy="Land it again; nothing of it was taken",
        )


def _require_columns(path: str, header: list[str], columns: Mapping[str, str]) -> None:
    gone = [name for name in columns if name not in header]
    strange = [name for name in header if name not in columns]
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
