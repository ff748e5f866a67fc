"""Extraction: the rows of a database table that came since the last one, as one Parquet file named by its range.

How far it has come is said by the names of the files that landed: a file stands whole, under a name that says from
which watermark to which, or not at all. A mark remembers it where they are removed. By a key, a range is open below and
closed above; by a time, it is closed below and open above, so that rows of the newest moment wait until it is over.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pyarrow.fs import FileSystem, FileType

from ml_platform.engine import intent, postgresql_columns, ranges, selected, sqlite_columns
from ml_platform.engine.database import Database, connected, literal, quoted
from ml_platform.engine.files import filesystem, require_room
from ml_platform.engine.landed import WRITING
from ml_platform.engine.selected import Selected
from ml_platform.engine.watermark import Table, newest, reached, require_onward, written
from ml_platform.roles.lakehouse import Lakehouse


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
    refuses, for rows of which the watermark says no order, and for a watermark that went back: rows would never come.
    """
    started = time.monotonic()
    files = filesystem(lakehouse.files(key))
    rows, path = 0, None
    with ranges.alone(key, table.name, lakehouse), connected(table.connection) as database:
        ends = ranges.ends(key, table.name, files, lakehouse)
        low, high = reached(table, ends, database), newest(table, database)
        require_onward(low, high, table)
        if high is not None and (low is None or high > low):
            path = ranges.path_of(table.name, None if low is None else written(low), written(high))

            def undisputed() -> None:
                if ranges.ends(key, table.name, files, lakehouse) != ends:
                    raise ranges.overtaken(table.name)

            rows = _land(database, _selected(table, low, high, database), files, path, undisputed)
            if rows:
                ranges.remember(key, table.name, written(high), lakehouse)
    digest = hashlib.sha256(repr(ranges.landed(table.name, files)).encode()).hexdigest()[:32]
    return Extracted(path if rows else None, rows, digest, time.monotonic() - started)


def _selected(table: Table, low: Any, high: Any, database: Database) -> Selected:
    """The query of the rows between two watermarks."""
    column, (above, below) = quoted(table.watermark), (">", "<=") if table.by == "key" else (">=", "<")
    bounds = f"{column} {below} {literal(high)}" + (f" AND {column} {above} {literal(low)}" if low is not None else "")
    rest, order = f"WHERE {bounds}", f"ORDER BY {column}"
    if database.text_times:
        return sqlite_columns.select(table.name, rest, order, database)
    return postgresql_columns.select(table.name, rest, order, database)


def _land(database: Database, query: Selected, files: FileSystem, path: str, undisputed: Callable[[], None]) -> int:
    """How many rows have landed in the file, which stands where there are any.

    undisputed: raises where the file is not to stand any more.
    """
    intent.about_to("change", f"rows are to be brought into {path}")
    files.create_dir(path.rpartition("/")[0], recursive=True)
    # In a store too: a stream that is given up leaves an object, and the name may be another's by then.
    written = f"{path}.{uuid4().hex}{WRITING}"
    try:
        rows = _write(database, query, files, written)
        if rows:
            undisputed()
            files.move(written, path)
    except BaseException as error:
        # The database may have refused before there was one.
        if files.get_file_info(written).type == FileType.File:
            files.delete_file(written)
        if isinstance(error, OSError):
            require_room(f"{path} is to hold the rows of {query.table}", error)
        raise
    if not rows:
        files.delete_file(written)
    return rows


def _write(database: Database, query: Selected, files: FileSystem, path: str) -> int:
    """How many rows the file holds now."""
    import pyarrow.parquet as pq

    rows = 0
    with (
        selected.rows(query, database) as (schema, batches),
        files.open_output_stream(path, compression=None) as stream,
        pq.ParquetWriter(stream, schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows
