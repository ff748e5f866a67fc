"""Evolution: the columns that a source's table gets, from what is declared, what stands and what new files bring.

A column that widens (int32 to int64 or float64, a decimal to more digits) is widened by writing every row of the table
again in the same commit, where the source says `type_changes: widen`. No other type ever changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow.fs import FileSystem

from ml_platform.engine.column_types import arrow_schema, kind_of, widens
from ml_platform.engine.files import filesystem
from ml_platform.engine.landed import strange
from ml_platform.engine.landed_file import LandedFile
from ml_platform.errors import AuditError, SourceError
from ml_platform.records.table import DataFile, TableSnapshot

if TYPE_CHECKING:
    from ml_platform.engine.ingest import Source

PROVENANCE = pa.schema(
    [
        pa.field("_source_file", pa.string()),
        pa.field("_source_digest", pa.string()),
        pa.field("_source_offset", pa.int64()),
        pa.field("_ingested_at", pa.timestamp("us", tz="UTC")),
        pa.field("_sequence", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Evolution:
    """What a source's table is to look like.

    added: columns beyond the declared ones, name → type. changes: what changes against the table that stands, for
    people. rewrites: whether the rows that stand have to be written again.
    """

    schema: pa.Schema
    added: Mapping[str, str]
    changes: tuple[str, ...]
    rewrites: bool


def evolved(source: Source, before: TableSnapshot | None, coming: Sequence[LandedFile], files: FileSystem) -> Evolution:
    """What the source's table is to look like once these files are in it.

    A new column has the type that the first file gives it; one that stands keeps its own. Raises AuditError for a type
    that is declared otherwise than it stands and may not change, SourceError for a column of a reserved name.
    """
    stands = {} if before is None else {field.name: field.type for field in before.schema}
    partition = [pa.field(source.partition, pa.string())] if source.partition else []
    own = {*source.columns, *PROVENANCE.names, *(field.name for field in partition)}
    added: dict[str, str] = {}
    if source.new_columns == "add":
        added = {name: kind_of(kind) or "string" for name, kind in stands.items() if name not in own}
        for file in coming:
            _add(added, file.path, strange(source, file.path, files), own, source)
    declared = arrow_schema({**source.columns, **added})
    widened = [field for field in declared if stands.get(field.name, field.type) != field.type]
    for field in widened:
        _require_widening(source, field, stands[field.name])
    news = [f"{field.name} added as {field.type}" for field in declared if stands and field.name not in stands]
    wider = [f"{field.name} widened from {stands[field.name]} to {field.type}" for field in widened]
    schema = pa.schema([*declared, *partition, *PROVENANCE])
    return Evolution(schema, added, (*news, *wider), bool(widened))


def standing(before: TableSnapshot, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The table's rows in another schema, of which every value is kept; a part of a file at a time."""
    files = filesystem(before.location)
    for file in before.files:
        yield from _cast(files, file, schema)


def _add(added: dict[str, str], path: str, found: Mapping[str, str], own: set[str], source: Source) -> None:
    stand = {name.lower(): name for name in (*own, *added)}
    for name, kind in found.items():
        if not name.strip():
            raise SourceError(
                f"{path} has a column without a name, but {source.key} adds new columns under the names that they have",
                remedy="Land the file with a name for it, or say new_columns: quarantine in the source's defs.yaml",
            )
        if stand.setdefault(name.lower(), name) != name:
            raise SourceError(
                f"{path} has a column {name}, but {source.key} has {stand[name.lower()]}, and no two columns of a "
                "table differ in case only",
                remedy="Land the file with the column under another name, or spelled as the one that there is",
            )
        if name in own:
            raise SourceError(
                f"{path} has a column {name}, but {source.key} has one of that name that says where a row comes from",
                remedy="Land the file with the column under another name",
            )
        added.setdefault(name, kind)


def _require_widening(source: Source, field: pa.Field, stands: pa.DataType) -> None:
    allowed = "int32 may become int64 or float64, and a decimal one of more digits, where type_changes is widen"
    if source.type_changes != "widen" or not widens(stands, field.type):
        raise AuditError(
            f"{source.key} declares {field.name} as {field.type}, but its table holds it as {stands}",
            allowed=allowed,
            remedy="Declare the type that stands, or say type_changes: widen in the source's defs.yaml",
        )


def _cast(files: FileSystem, file: DataFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with files.open_input_file(file.path) as stream:
        for batch in pq.ParquetFile(stream, pre_buffer=False).iter_batches():
            columns = [
                batch[field.name].cast(field.type)
                if field.name in batch.schema.names
                else pa.repeat(pa.scalar(file.partition.get(field.name), field.type), batch.num_rows)
                for field in schema
            ]
            yield pa.record_batch(columns, schema=schema)
