"""Agreement of a log with itself. What an audit makes of it is in `test_integrity.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from ml_platform.engine import delta
from ml_platform.engine.agreement import disputed, mislaid
from ml_platform.engine.staging import stage
from ml_platform.engine.table_log import read_log
from ml_platform.records.table import Location
from resources.embedded.lakehouse import EmbeddedLakehouse


def test_checkpoints_agree_with_commits_that_were_cleaned_up_or_not(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("silver/orders")
    for number in range(6):
        put("silver/orders", {"id": [number], "month": [f"2024-0{1 + number % 3}"]}, "month")
        if number in (1, 4):
            DeltaTable(location.uri).create_checkpoint()
    log = read_log(location)
    assert sorted(log.checkpoints) == [1, 4]
    assert list(disputed(log)) == []
    # without the first commits, the second checkpoint is still held against those behind the first
    kept = {version: entry for version, entry in log.entries.items() if version > 1}
    assert list(disputed(replace(log, entries=kept))) == []
    lost = {version: entry for version, entry in kept.items() if version != 3}
    assert list(disputed(replace(log, entries=lost))) == []
    other = {**kept, 3: replace(kept[3], doing=replace(kept[3].doing, adds={}))}
    assert list(disputed(replace(log, entries=other))) == [
        "the checkpoint of version 4 has 3 files, but the commits before it come to others"
    ]


def altered(checkpoint: Path, **change: Any) -> None:
    """The checkpoint is valid Parquet, but the first of these actions says otherwise."""
    table = pq.read_table(checkpoint)
    rows = table.to_pylist()
    for kind, (name, value) in change.items():
        action = next(row[kind] for row in rows if row[kind])
        action[name] = value if not callable(value) else value(action[name])
    pq.write_table(pa.Table.from_pylist(rows, table.schema), checkpoint)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"add": ("size", 7)}, "says otherwise of month=2024-01/"),
        ({"add": ("partitionValues", [("month", "2024-02")])}, "says otherwise of month=2024-01/"),
        ({"add": ("stats", '{"numRecords": 9}')}, "says otherwise of month=2024-01/"),
        ({"add": ("stats", '{"numRecords": 1')}, "says otherwise of month=2024-01/"),
        ({"metaData": ("schemaString", lambda text: text.replace("long", "date"))}, "has other columns than the "),
        ({"metaData": ("schemaString", "{")}, "cannot be read: "),
        ({"txn": ("version", 8)}, "keeps other numbers than the commits before it come to: batch"),
        ({"txn": ("appId", "bitch")}, "keeps other numbers than the commits before it come to: batch"),
    ],
    ids=["size", "partition", "rows", "torn", "type", "schema", "number", "name"],
)
def test_a_checkpoint_that_says_otherwise_than_a_commit_is_told(
    lakehouse: EmbeddedLakehouse, change: dict[str, Any], told: str
) -> None:
    location = lakehouse.table("silver/orders")
    for number in range(2):
        rows = pa.table({"id": [number], "month": ["2024-01"]})
        staged, read = stage(rows.to_batches(), rows.schema, location, ("month",)), delta.snapshot(location)
        delta.commit(staged, read=read, replaced=(), transactions={"batch": number}, evidence={})
    DeltaTable(location.uri).create_checkpoint()
    assert list(disputed(read_log(location))) == []
    (checkpoint,) = Path(location.uri).rglob("*.checkpoint.parquet")
    altered(checkpoint, **change)
    (fault,) = disputed(read_log(location))
    assert fault.startswith(f"the checkpoint of version 1 {told}")


def test_a_checkpoint_without_statistics_agrees(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/orders", {"id": [1]})
    location = lakehouse.table("silver/orders")
    DeltaTable(location.uri).create_checkpoint()
    (checkpoint,) = Path(location.uri).rglob("*.checkpoint.parquet")
    altered(checkpoint, add=("stats", None))
    assert list(disputed(read_log(location))) == []


def test_a_file_is_where_and_what_the_log_says(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    table = put("silver/orders", {"id": [1], "city": ["New York/NY"]}, "city")
    (file,) = table.files
    assert mislaid(table, file) == ""
    moved = replace(file, partition={"city": "Boston"})
    assert mislaid(table, moved) == "is said to be of city=Boston"
    narrowed = replace(table, schema=table.schema.remove(0))
    assert mislaid(narrowed, file) == "has the column id of int64, but the log says that there is none"


def test_what_another_writer_did_is_its_own(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path), pa.table({"id": [1]}))
    table = delta.existing(Location("a/b", str(tmp_path)))
    assert mislaid(replace(table, schema=table.schema.remove(0)), table.files[0]) == ""
