from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.engine.database import Database, connected
from ml_platform.engine.selected import Selected, rows
from ml_platform.errors import SourceError


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A table whose driver takes its second column for a number, and finds a text in a late row."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as made:
        made.execute("CREATE TABLE orders (id INTEGER, v)")
        made.executemany("INSERT INTO orders VALUES (?, ?)", [(n, None if n < 70_000 else "x") for n in range(70_001)])
        made.commit()
    monkeypatch.setenv("SHOP", f"sqlite:///{tmp_path / 'shop.db'}")
    with connected("SHOP") as opened:
        yield opened


def test_rows_come_without_those_that_tell_their_types(database: Database) -> None:
    query = "SELECT 0 AS id, NULL AS v UNION ALL SELECT id + 1, v FROM orders WHERE id < 69999"
    with rows(Selected("orders", query, [None, pa.null()], before=1), database) as (schema, batches):
        table = pa.Table.from_batches(list(batches), schema)
    assert table.schema == pa.schema([("id", pa.int64()), ("v", pa.null())])
    assert table["id"].to_pylist() == list(range(1, 70_000))


def test_rows_that_end_early_are_told_of_their_table_and_column(database: Database) -> None:
    selected = Selected("orders", "SELECT * FROM orders", [None, None])
    with (
        rows(selected, database) as (_, batches),
        pytest.raises(SourceError, match=r"orders cannot be read to its end.*column 1, v"),
    ):
        list(batches)
