"""The absence of a key, proven: what is left of it in tables, logs, landed files, the online store, and models.

Rows are looked for by their columns, in every Parquet file that a table's folder holds, named by a version or not. A
key of one text is looked for as a text as well: in every text column of every table, in the statistics and partition
values of every log, in landed files as they lie, in the packages of models. What cannot be looked at is left.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, quote_plus

from pyarrow.fs import FileSelector, FileType

from ml_platform.engine import delta, table_log
from ml_platform.engine.erasure import among, file_of, frame_of, has
from ml_platform.engine.erasure_plan import Plan, Row
from ml_platform.engine.files import filesystem
from ml_platform.engine.source_files import COMPRESSIONS
from ml_platform.engine.staging import present
from ml_platform.records.feature import FeatureView
from ml_platform.records.table import Location
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.roles.prediction_log import PredictionLog

_AT_A_TIME = 50_000
# A shorter text stands in other values as well.
TELLING = 4


def texts(of: Plan) -> frozenset[str]:
    """The values that are only this key's: of a key of one text, it and what was made of it."""
    if len(of.key) > 1:
        return frozenset()
    single = [value for rows in of.rows.values() for row in rows if len(row) == 1 for value in row.values()]
    return frozenset(value for value in (*of.key.values(), *single) if isinstance(value, str) and len(value) >= TELLING)


def in_tables(
    of: Mapping[str, Sequence[Row]], every: Collection[str], wanted: Collection[str], lakehouse: Lakehouse
) -> Iterator[str]:
    """What is left in tables and their logs, a sentence each. every: all tables that there may be."""
    for key in sorted({*of, *every}):
        location = lakehouse.table(key)
        if not table_log.stands(location):
            continue
        try:
            yield from _in_files(location, of.get(key, ()), wanted)
            if key in of or wanted:
                yield from _in_log(location, of.get(key, ()), wanted)
        except Exception as error:  # what cannot be looked at is not proven to be absent
            yield f"{key} cannot be looked through: {error}"


def in_files(folders: Collection[str], wanted: Collection[str], lakehouse: Lakehouse) -> Iterator[str]:
    """The files beside tables that hold one of the texts: landed ones, and what was measured of rows."""
    for key in sorted(folders):
        files = filesystem(lakehouse.files(key))
        for info in files.get_file_info(FileSelector("", recursive=True, allow_not_found=True)):
            if info.type == FileType.File and _holds(_content(files, info.path), wanted):
                yield f"{key} holds it in {info.path}"


def online(views: Mapping[str, FeatureView], of: Plan, store: FeatureStore, lakehouse: Lakehouse) -> Iterator[str]:
    """The feature views of which the online store has another version than the one that the rows are gone from."""
    for key, view in views.items():
        stands = store.published(view) if key in of.rows else None
        if stands is not None and delta.fingerprint(delta.existing(lakehouse.table(key))) not in stands.version:
            yield f"the online store has {key} as it was before"


def in_log(endpoints: Mapping[str, Sequence[Row]], log: PredictionLog) -> Iterator[str]:
    """The endpoints whose prediction log names the key."""
    for endpoint, rows in endpoints.items():
        cursor, count = 0, 0
        while True:
            records, cursor = log.since(endpoint, cursor, _AT_A_TIME)
            count += sum(has(record.inputs, rows) for record in records)
            if len(records) < _AT_A_TIME:
                break
        if count:
            yield f"the prediction log of {endpoint} names it in {count} records"


def in_models(wanted: Collection[str], registry: ModelRegistry) -> Iterator[str]:
    """The model versions whose packages hold one of the texts: as a category, or in an example."""
    for name in registry.names() if wanted else ():
        for version in registry.versions(name):
            with TemporaryDirectory() as folder:
                if any(_holds(tag.encode(), wanted) for tag in version.tags.values()):
                    yield f"models/{name} version {version.number} holds it in its tags"
                package = registry.fetch(name, version.number, Path(folder) / "package")
                held = [it for it in sorted(package.rglob("*")) if it.is_file() and _holds(it.read_bytes(), wanted)]
                if held:
                    yield f"models/{name} version {version.number} holds it in {held[0].name}"


def _in_files(location: Location, rows: Sequence[Row], wanted: Collection[str]) -> Iterator[str]:
    import polars as pl

    like = delta.existing(location)
    stands = {file.path for file in like.files}
    for path in sorted(present(location)):
        if path.startswith(f"{table_log.FOLDER}/") or not path.endswith((".parquet", ".writing")):
            continue
        if rows and path not in stands:
            yield f"{location.key} has a file that no version names, {path}"
        frame = frame_of(location, like, file_of(path, like))
        if rows and among(frame, rows).any():
            yield f"{location.key} holds rows of it in {path}"
        for name, kind in frame.schema.items():
            if kind == pl.String and wanted and any(_tells(frame[name], text) for text in wanted):
                yield f"{location.key} holds it in column {name} of {path}"


def _tells(column: Any, text: str) -> bool:
    """Whether a value of a text column is the text, or JSON that has it as a value."""
    quoted = {json.dumps(text, ensure_ascii=plain) for plain in (True, False)}
    return bool((column == text).any()) or any(column.str.contains(it, literal=True).any() for it in quoted)


def _in_log(location: Location, rows: Sequence[Row], wanted: Collection[str]) -> Iterator[str]:
    """Entries that are older than the latest version, and statistics or partition values that tell of the key."""
    import pyarrow.parquet as pq

    log, files = table_log.read_log(location), filesystem(location)
    if rows and (len(log.checkpoints) != 1 or any(version <= max(log.checkpoints) for version in log.entries)):
        yield f"{location.key} has a log of older versions"
    for info in files.get_file_info(FileSelector(table_log.FOLDER)):
        if info.path.endswith(".parquet"):
            with files.open_input_file(info.path) as stream:
                content = json.dumps(pq.read_table(stream).to_pylist(), default=str).encode()
        else:
            with files.open_input_stream(info.path) as stream:
                content = stream.read()
        if _holds(content, wanted):
            yield f"{location.key} tells of it in {info.path}"


def _content(files: Any, path: str) -> bytes:
    """A file's bytes, decompressed; of Parquet its values, as texts."""
    import pyarrow.parquet as pq

    compression = COMPRESSIONS.get(f".{path.rpartition('.')[2]}")
    if path.endswith(".parquet"):
        with files.open_input_file(path) as stream:
            return json.dumps(pq.read_table(stream).to_pylist(), default=str).encode()
    with files.open_input_stream(path, compression=compression) as stream:
        content: bytes = stream.read()
        return content


def _holds(content: bytes, wanted: Collection[str]) -> bool:
    return any(form in content for text in wanted for form in _forms(text))


@cache
def _forms(text: str) -> frozenset[bytes]:
    """The text as it may lie in a file: as it is, in JSON with and without letters beyond ASCII, CSV, HTML, a path."""
    in_json = (json.dumps(text, ensure_ascii=plain)[1:-1] for plain in (True, False))
    in_html = (escape(text, quote=marks) for marks in (True, False))
    forms = (text, *in_json, text.replace('"', '""'), *in_html, quote(text, safe=""), quote_plus(text))
    return frozenset(form.encode() for form in forms)
