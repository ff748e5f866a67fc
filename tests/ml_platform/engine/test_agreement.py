"""Agreement of a log with itself. What an audit makes of it is in `test_integrity.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from deltalake import DeltaTable, write_deltalake

from ml_platform.engine import delta
from ml_platform.engine.agreement import disputed, mislaid
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
    other = {**kept, 3: replace(kept[3], adds=frozenset())}
    assert list(disputed(replace(log, entries=other))) == [
        "the checkpoint of version 4 has 3 files, but the commits before it come to others"
    ]


def test_a_file_is_where_and_what_the_log_says(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    table = put("silver/orders", {"id": [1], "city": ["New York/NY"]}, "city")
    (file,) = table.files
    assert mislaid(table, file) == ""
    moved = replace(file, partition={"city": "Boston"})
    assert mislaid(table, moved) == "is said to be of city=Boston"
    narrowed = replace(table, schema=table.schema.remove(0))
    assert mislaid(narrowed, file) == "has the column id of int64, but the log says that there is none"


def test_what_another_writer_did_is_its_own(tmp_path: Path) -> None:
    import pyarrow as pa

    write_deltalake(str(tmp_path), pa.table({"id": [1]}))
    table = delta.existing(Location("a/b", str(tmp_path)))
    assert mislaid(replace(table, schema=table.schema.remove(0)), table.files[0]) == ""
