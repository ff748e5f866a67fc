from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform import metadata
from ml_platform.engine.scope import ITS_OWN
from ml_platform.records.table import Commit, DataFile, Location, TableSnapshot, TableVersion

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def snapshot(tmp_path: Path) -> TableSnapshot:
    files = tuple(DataFile(f"{month}.parquet", 100, rows, {"month": month}) for month, rows in (("a", 2), ("b", 3)))
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("at", pa.timestamp("us", tz="UTC"))])
    return TableSnapshot(Location("gold/totals", str(tmp_path)), schema, ("month",), files, 7)


def test_table_says_rows_size_version_name_and_columns(snapshot: TableSnapshot, tmp_path: Path) -> None:
    said = metadata.of_table(snapshot, Commit(7, 1200, 3, ("a",), unchanged=False), 1.23456)
    assert said["outcome"] == "1,200 rows added, 3 removed"
    assert said["seconds"] == 1.235
    assert (said["dagster/row_count"], said["size_bytes"], said["table_version"]) == (5, 200, 7)
    assert (said["dagster/table_name"], said["dagster/uri"]) == ("gold.totals", str(tmp_path))
    columns = {column.name: column.type for column in said["dagster/column_schema"].columns}
    assert columns == {"id": "int64", "at": "timestamp[us, tz=UTC]"}


def test_table_that_no_commit_touched_is_unchanged(snapshot: TableSnapshot) -> None:
    assert metadata.of_table(snapshot, Commit(7, 0, 0, (), unchanged=True), 0.0)["outcome"] == "unchanged"


def test_a_column_that_lineage_does_not_name_comes_from_where_all_others_do(snapshot: TableSnapshot) -> None:
    found = metadata.column_lineage(snapshot, {"ID": (("s/x", "a"),), "": (("s/x", ITS_OWN), ("s/y", "b"))})
    said = {name: [(dep.asset_key.path, dep.column_name) for dep in of] for name, of in found.deps_by_column.items()}
    assert said == {"id": [(["s", "x"], "a")], "at": [(["s", "x"], "at"), (["s", "y"], "b")]}
    assert list(metadata.column_lineage(snapshot, {"id": ()}).deps_by_column) == ["id"]


def test_versions_that_were_read_are_a_table(snapshot: TableSnapshot) -> None:
    (row,) = metadata.versions([TableVersion("silver/orders", 3, "ab12")]).records
    assert row.data == {"table": "silver/orders", "version": 3, "fingerprint": "ab12"}
