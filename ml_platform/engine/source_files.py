"""Source files: landed CSV, JSON lines and Parquet, plain or compressed, read strictly as their source declares them.

A file's format is what its name ends in, before `.gz`, `.bz2` or `.zst`, unless the source declares one. Whatever its
size, some megabytes of it are held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from ml_platform.engine import csv_rows, json_rows, parquet_rows
from ml_platform.engine.column_types import arrow_schema, kind_of, no_rows, takes
from ml_platform.engine.csv_text import Text, damaged
from ml_platform.engine.decompressed import Decompressed
from ml_platform.engine.landed_file import Watched, gone
from ml_platform.engine.source_rows import COLUMNS, TYPE, Misfit, Part, shown, strict, unreadable
from ml_platform.errors import SourceError, nearest

if TYPE_CHECKING:
    import pyarrow.parquet as pq

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


class Opens(Protocol):
    """What opens files by their path: a file system, or one that watches."""

    def open_input_stream(self, path: str, compression: str | None = ...) -> Any:
        """Its bytes from the first to the last, decompressed."""
        ...

    def open_input_file(self, path: str) -> Any:
        """Its bytes, in any order."""
        ...


def read_csv(files: Opens, path: str, columns: Mapping[str, str]) -> pa.Table:
    """The rows of one CSV file, all of them."""
    return pa.Table.from_batches([part.rows for part in parts(files, path, columns, "csv")], arrow_schema(columns))


def parts(
    files: Opens,
    path: str,
    columns: Mapping[str, str],
    declared: str | None = None,
    *,
    refused: Collection[str] = (TYPE, COLUMNS),
) -> Iterator[Part]:
    """The rows of one file, in its order, a part at a time.

    columns: name → declared type; the table's, in this order. declared: the file's format, where its name does not say.
    refused: the rules of which a row that breaks one is an error; a row that breaks another is a misfit.
    Raises SourceError, naming the file, for one that is gone, empty, damaged or cut off, for a column that is gone or
    there twice, and for rows that break a rule which is refused.
    """
    kind = format_of(path, declared)
    if kind == "parquet":
        read = _parquet(files, path, columns, refused)
    elif kind == "jsonl":
        read = _jsonl(files, path, columns)
    else:
        read = _csv(files, path, columns, refused)
    yield from strict(read, path, columns, tuple(refused))


def kinds(files: Opens, path: str, declared: str | None = None) -> dict[str, str | None]:
    """The columns of one file, each with the declared type that takes all of its values; None where there is none.

    A CSV file's are texts. Of JSON lines every line is read.
    """
    kind = format_of(path, declared)
    if kind == "parquet":
        with parquet_of(files, path) as file:
            return {field.name: kind_of(field.type) for field in file.schema_arrow}
    with text_of(files, path) as stream:
        if kind == "jsonl":
            return dict(json_rows.kinds(stream, path))
        return dict.fromkeys(Text(path, stream).header(), "string")


def format_of(path: str, declared: str | None = None, remedy: str = "Declare format in the source's defs.yaml") -> str:
    """The format of a file: csv, jsonl or parquet. Raises SourceError for a name that says none.

    remedy: how whoever asks can say it.

    >>> format_of("orders/2024-01.jsonl.gz")
    'jsonl'
    """
    if declared:
        return declared
    name = next((path.removesuffix(it) for it in COMPRESSIONS if path.endswith(it)), path)
    for ending, kind in FORMATS.items():
        if name.endswith(ending):
            return kind
    raise SourceError(
        f"{path} has a name that says no format, but it has to be read in one",
        allowed=f"Names end in {', '.join(FORMATS)}, and in {', '.join(COMPRESSIONS)} where they are compressed",
        remedy=remedy,
    )


@contextmanager
def text_of(files: Opens, path: str) -> Iterator[Any]:
    """The bytes of a file, decompressed. Raises SourceError, also in its block, for one that is gone or damaged."""
    compression = next((name for ending, name in COMPRESSIONS.items() if path.endswith(ending)), None)
    try:
        with files.open_input_stream(path, compression=compression) as stream:
            yield stream if compression is None else Decompressed(stream, path, _size_of(files, path))
    except FileNotFoundError as error:
        raise gone(path) from error
    except OSError as error:
        if compression is None:
            raise
        raise damaged(path, f"no whole {compression} file ({error})") from error


def _size_of(files: Any, path: str) -> int:
    """The bytes of a file as it lies there."""
    size: int = files.size_bytes if isinstance(files, Watched) else files.get_file_info(path).size
    return size


@contextmanager
def parquet_of(files: Opens, path: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file. Raises SourceError, also in its block, for one that is gone or damaged."""
    try:
        with files.open_input_file(path) as stream:
            yield parquet_rows.opened(stream)
    except FileNotFoundError as error:
        raise gone(path) from error
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{path} is no whole Parquet file, but it has to be one: {str(error).splitlines()[0]}",
            remedy="Land it again; nothing of it was taken",
        ) from error


def _csv(files: Opens, path: str, columns: Mapping[str, str], refused: Collection[str]) -> Iterator[Part]:
    with text_of(files, path) as stream:
        text = Text(path, stream)
        header = text.header()
        strange = _require_columns(path, header, columns, refused)
        if not strange:
            yield from _declared_csv(files, text, path, columns, lenient=TYPE not in refused)
            return
        for part in csv_rows.rows(text, path, dict.fromkeys(header, "string"), lenient=True):
            yield _refused(part, COLUMNS, _strange(path, strange), columns)


def _declared_csv(files: Opens, text: Text, path: str, columns: Mapping[str, str], *, lenient: bool) -> Iterator[Part]:
    """The rows; from the first that is doubtful on, those of the file as it is opened again and looked at closely."""
    done = 0
    try:
        for part in csv_rows.rows(text, path, columns, lenient=lenient):
            done += part.rows.num_rows
            yield part
    except csv_rows.DoubtfulError:
        with text_of(files, path) as stream:
            yield from csv_rows.closely(Text(path, stream), path, columns, done)


def _jsonl(files: Opens, path: str, columns: Mapping[str, str]) -> Iterator[Part]:
    with text_of(files, path) as stream:
        empty = True
        for part in json_rows.rows(stream, path, columns):
            empty = False
            yield part
        if empty:
            raise SourceError(f"{path} is empty, but a whole file has a line", remedy="Land it again")


def _parquet(files: Opens, path: str, columns: Mapping[str, str], refused: Collection[str]) -> Iterator[Part]:
    with parquet_of(files, path) as file:
        header = file.schema_arrow
        strange = _require_columns(path, header.names, columns, refused)
        wrong = [name for name, kind in columns.items() if not takes(kind, header.field(name).type)]
        if not strange and not wrong:
            yield from parquet_rows.rows(file, columns)
            return
        rule, why = (COLUMNS, _strange(path, strange)) if strange else (TYPE, _wrong(header, columns, wrong))
        start = 0
        for batch in parquet_rows.batches(file):
            part = Part(batch, pa.array(range(start, start + batch.num_rows), pa.int64()))
            yield _refused(part, rule, why, columns)
            start += batch.num_rows
        if not start and rule == TYPE:
            raise unreadable(path, why, columns)


def _refused(part: Part, rule: str, why: str, columns: Mapping[str, str]) -> Part:
    """None of the rows, each a misfit."""
    whole = zip(part.offsets.to_pylist(), range(part.rows.num_rows), strict=True)
    misfits = [Misfit(offset, rule, why, shown(part.rows.slice(at, 1))) for offset, at in whole]
    misfits = sorted((*misfits, *part.misfits), key=lambda it: it.offset)
    return Part(no_rows(columns), pa.array([], pa.int64()), tuple(misfits))


def _wrong(header: pa.Schema, columns: Mapping[str, str], wrong: Sequence[str]) -> str:
    said = (f"{name} is {header.field(name).type}, but it is declared as {columns[name]}" for name in wrong)
    return "; ".join(said)


def _strange(path: str, strange: Sequence[str]) -> str:
    return f"{path} has a column {', '.join(strange)} that its source does not declare, but it would be lost"


def _require_columns(
    path: str, header: Sequence[str], columns: Mapping[str, str], refused: Collection[str]
) -> list[str]:
    """The columns that are strange, where these are not refused. Raises SourceError."""
    gone = [name for name in columns if name not in header]
    strange = [name for name in header if name not in columns]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if gone:
        raise SourceError(
            f"{path} has no column {', '.join(gone)}, but its source declares it",
            allowed=nearest(gone[0], header),
            remedy="Land the file with the column, or change columns in the source's defs.yaml",
        )
    if strange and COLUMNS in refused:
        raise SourceError(
            _strange(path, strange),
            allowed=nearest(strange[0], columns),
            remedy="Declare it in columns in the source's defs.yaml",
        )
    if twice:
        raise SourceError(
            f"{path} has the column {', '.join(twice)} twice, but only one of them could be taken",
            remedy="Land the file with each column once",
        )
    return strange
