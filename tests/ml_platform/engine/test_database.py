from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_platform.engine.database import column_name, connected, literal, quoted
from ml_platform.errors import BindingError, SourceError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE orders (id INTEGER, amount REAL)")
        database.executemany(
            "INSERT INTO orders VALUES (?, ?)", [(n, None if n < 2_000 else 0.5) for n in range(3_000)]
        )
        database.commit()
    monkeypatch.setenv("SHOP", f"sqlite:///{path}")
    return path


def test_rows_come_as_a_stream_with_the_type_that_later_values_have(file: Path) -> None:
    with connected("SHOP") as database:
        assert database.row("SELECT count(*), max(id) FROM orders") == (3_000, 2_999)
        with database.reader("SELECT * FROM orders ORDER BY id") as reader:
            table = reader.read_all()
    assert [str(kind) for kind in table.schema.types] == ["int64", "double"]
    assert (table["amount"].null_count, table["amount"][2_000].as_py()) == (2_000, 0.5)


def test_what_the_database_refuses_says_its_variable_and_not_where_it_is(file: Path) -> None:
    said = r"the database that SHOP names does not answer.*no such table"
    with pytest.raises(SourceError, match=said) as refused, connected("SHOP") as database:
        database.row("SELECT 1 FROM oders")
    assert str(file) not in str(refused.value)


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        (None, BindingError, "SHOP is unset"),
        ("mysql://root:canary@host/shop", BindingError, "SHOP is no address of a database"),
        ("sqlite:////canary/shop.db", SourceError, "there is no such file"),
        ("postgresql://canary:canary@127.0.0.1:1/shop", SourceError, "the database that SHOP names does not answer"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named_by_its_variable_alone(
    monkeypatch: pytest.MonkeyPatch, where: str | None, error: type[Exception], said: str
) -> None:
    monkeypatch.delenv("SHOP", raising=False)
    if where:
        monkeypatch.setenv("SHOP", where)
    with pytest.raises(error, match=said) as refused, connected("SHOP"):
        pass
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_names_and_values_are_quoted() -> None:
    assert quoted('shop.or"der') == '"shop"."or""der"'
    assert column_name('price."net"') == '"price.""net"""'
    assert literal(-7) == "-7"
    assert literal("it's") == "'it''s'"
    assert literal(datetime(2024, 1, 1, 0, 0, 0, 5, tzinfo=UTC)) == "'2024-01-01T00:00:00.000005+00:00'"
