from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine.database import connected
from ml_platform.engine.selected import rows
from ml_platform.engine.sqlite_columns import select
from ml_platform.errors import SourceError

Read = Callable[..., pa.Table]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """The values of one column, as they are read of a table that has them."""

    def read(*values: Any, expression: str = "v", rest: str = "") -> pa.Table:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
            database.execute('CREATE TABLE o (id INTEGER, "v""x")')
            database.executemany("INSERT INTO o VALUES (?, ?)", enumerate(values))
            database.execute(f'CREATE VIEW orders AS SELECT id, {expression} AS v FROM (SELECT id, "v""x" AS v FROM o)')
            database.commit()
        monkeypatch.setenv("SHOP", f"sqlite:///{tmp_path / 'shop.db'}")
        with connected("SHOP") as opened:
            selected = select("orders", rest, "ORDER BY id DESC", opened)
            with rows(selected, opened) as (schema, batches):
                return pa.Table.from_batches(list(batches), schema)

    return read


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([2**53 + 1, -(2**63), None], pa.int64()),
        ([19.991234567, 2**53, -1, None], pa.float64()),
        (["a", "", None, "1234567.875"], pa.string()),
    ],
)
def test_values_of_one_kind_come_as_they_are_in_their_order(read: Read, values: list[Any], kind: pa.DataType) -> None:
    table = read(*values)
    assert table.schema == pa.schema([("id", pa.int64()), ("v", kind)])
    assert table.to_pydict() == {"id": list(range(len(values)))[::-1], "v": values[::-1]}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([123456789, "A17"], "integer, text"),
        ([1234567.875, "A17"], "real, text"),
        ([1, b"a"], "integer, blob"),
        (["a", b"a"], "text, blob"),
        ([2**53 + 1, 0.5], "integer, real, but a column lands as one; whole numbers beyond 2"),
    ],
)
def test_a_column_whose_values_would_change_is_refused_by_its_name(read: Read, values: list[Any], said: str) -> None:
    with pytest.raises(SourceError, match=f"orders has in its column v values of the types {said}"):
        read(*values)


def test_only_the_rows_that_are_asked_for_count(read: Read) -> None:
    assert read("a", 1, 2, rest="WHERE id > 0")["v"].to_pylist() == [2, 1]


def test_a_type_is_that_of_all_values_however_late_they_come(read: Read) -> None:
    assert read("x", *[None] * 70_000)["v"].type == pa.string()


def test_a_number_in_a_late_row_makes_no_other_of_those_before(read: Read) -> None:
    table = read(0.5, *range(70_000))
    assert (table["v"].type, table["v"][0].as_py(), table["v"][-1].as_py()) == (pa.float64(), 69_999.0, 0.5)


def test_a_column_of_nothing_but_null_says_no_type(read: Read) -> None:
    table = read(None, None)
    assert (table["v"].type, table["v"].to_pylist()) == (pa.null(), [None, None])


def test_a_text_that_is_no_utf_8_is_refused_by_its_column(read: Read) -> None:
    with pytest.raises(SourceError, match="orders has in its column v a text that is no UTF-8"):
        read(b"\xffA", expression="CAST(v AS TEXT)")


def test_bytes_are_refused_for_no_source_takes_them(read: Read) -> None:
    with pytest.raises(SourceError, match="orders has the columns v, of type binary, but no source takes such values"):
        read(b"\xff", None)
