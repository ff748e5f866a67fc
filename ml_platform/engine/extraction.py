"""Extraction: the rows of a database table that came since the last one, as one Parquet file named by its range.

How far it has come is said by the names of the files that landed: a file stands whole, under a name that says from
which watermark to which, or not at all. A mark remembers it where they are removed. By a key, a range is open below and
closed above; by a time, it is closed below and open above, so that rows of the newest moment wait until it is over.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from pyarrow.fs import FileSystem

from ml_platform.engine import intent, ranges
from ml_platform.engine.database import Database, connected, literal, quoted
from ml_platform.engine.files import filesystem
from ml_platform.engine.landed import WRITING
from ml_platform.errors import SourceError
from ml_platform.roles.lakehouse import Lakehouse

_DIGIT = re.compile(r"\d")
# SQLite's times; with offsets they would not be in the order of their texts.
_TEXT_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?")


@dataclass(frozen=True)
class Table:
    """A table of a database.

    connection: name of the environment variable that says where the database is; name: with its schema, where it has
    one. watermark: the column by which its rows are ordered as they come; by: whether that is a key, of which no two
    rows have the same, or a time.
    """

    connection: str
    name: str
    watermark: str
    by: Literal["key", "time"]


@dataclass(frozen=True)
class Extracted:
    """What became of an extraction.

    path: of the file that it left; None where no row has come. digest: of the names of all files of the table, which
    say what is in them.
    """

    path: str | None
    rows: int
    digest: str
    seconds: float


def extract(key: str, table: Table, lakehouse: Lakehouse) -> Extracted:
    """The landing folder of an asset holds the rows of the table up to its watermark now, each in one file.

    Raises BindingError where the environment does not say where the database is, SourceError for a database that
    refuses, and for rows of which the watermark says no order: some of them would never come.
    """
    started = time.monotonic()
    files = filesystem(lakehouse.files(key))
    rows, path = 0, None
    with ranges.alone(key, table.name, lakehouse), connected(table.connection) as database:
        ends = ranges.ends(key, table.name, files, lakehouse)
        low, high = _reached(table, ends, database), _newest(table, database)
        if high is not None and (low is None or high > low):
            path = ranges.path_of(table.name, None if low is None else _written(low), _written(high))

            def undisputed() -> None:
                if ranges.ends(key, table.name, files, lakehouse) != ends:
                    raise ranges.overtaken(table.name)

            rows = _land(database, _query(table, low, high), files, path, undisputed)
            if rows:
                ranges.remember(key, table.name, _written(high), lakehouse)
    digest = hashlib.sha256(repr(ranges.landed(table.name, files)).encode()).hexdigest()[:32]
    return Extracted(path if rows else None, rows, digest, time.monotonic() - started)


def _reached(table: Table, ends: Sequence[str], database: Database) -> Any:
    """The watermark that was landed up to; None where nothing was."""
    try:
        read: list[Any] = [int(end) if table.by == "key" else datetime.fromisoformat(end) for end in ends]
    except ValueError as error:
        raise SourceError(
            f"{table.name} has landed files that say no {table.by} to go on from, but each is named by its range",
            remedy="Give the extraction a landing of its own, or mend by in its defs.yaml",
        ) from error
    return max(ends if table.by == "time" and database.text_times else read, default=None)


def _newest(table: Table, database: Database) -> Any:
    """The greatest watermark; None for a table without rows."""
    column, name = quoted(table.watermark), quoted(table.name)
    high, nulls = database.row(f"SELECT max({column}), count(*) - count({column}) FROM {name}")
    if nulls:
        raise SourceError(
            f"{table.name} has {nulls} rows whose {table.watermark} is NULL, but they would never come",
            remedy="Give them one, or declare another watermark",
        )
    if high is None or _ordered(high, table, database):
        return high
    raise SourceError(
        f"{table.name} has the watermark {table.watermark}, but its values have no order to go by as a {table.by}",
        allowed="A key is an integer, a time a timestamp; SQLite's are texts of one format, without offsets",
        remedy="Declare another watermark, or a view of the table that has one",
    )


def _ordered(high: Any, table: Table, database: Database) -> bool:
    """Whether all watermarks are in an order that one may go by; texts are where they are written as the newest is."""
    if table.by == "key" or not database.text_times:
        return isinstance(high, int if table.by == "key" else datetime)
    if not isinstance(high, str) or not _TEXT_TIME.fullmatch(high):
        return False
    form = literal(_DIGIT.sub("[0-9]", high))
    others = f"SELECT count(*) FROM {quoted(table.name)} WHERE {quoted(table.watermark)} NOT GLOB {form}"
    return database.row(others) == (0,)


def _query(table: Table, low: Any, high: Any) -> str:
    column, (above, below) = quoted(table.watermark), (">", "<=") if table.by == "key" else (">=", "<")
    bounds = f"{column} {below} {literal(high)}" + (f" AND {column} {above} {literal(low)}" if low is not None else "")
    return f"SELECT * FROM {quoted(table.name)} WHERE {bounds} ORDER BY {column}"


def _written(watermark: Any) -> str:
    return watermark.isoformat() if isinstance(watermark, datetime) else str(watermark)


def _land(database: Database, query: str, files: FileSystem, path: str, undisputed: Callable[[], None]) -> int:
    """How many rows have landed in the file, which stands where there are any.

    undisputed: raises where the file is not to stand any more.
    """
    import pyarrow.parquet as pq

    intent.about_to("change", f"rows are to be brought into {path}")
    files.create_dir(path.rpartition("/")[0], recursive=True)
    # In a store too: a stream that is given up leaves an object, and the name may be another's by then.
    written, rows = f"{path}.{uuid4().hex}{WRITING}", 0
    try:
        with (
            database.reader(query) as reader,
            files.open_output_stream(written, compression=None) as stream,
            pq.ParquetWriter(stream, reader.schema) as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        if rows:
            undisputed()
            files.move(written, path)
    except BaseException:
        files.delete_file(written)
        raise
    if not rows:
        files.delete_file(written)
    return rows
