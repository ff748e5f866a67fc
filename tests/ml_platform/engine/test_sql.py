from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.engine.sql import read, relation, tables_read
from ml_platform.errors import DeclarationError


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("SELECT * FROM silver.flights", ["silver/flights"]),
        ("FROM silver.flights", ["silver/flights"]),
        ("(SELECT 1 FROM silver.flights);", ["silver/flights"]),
        ("SELECT 1", []),
        ("SELECT * FROM gold.b AS x JOIN gold.a AS y ON x.n = y.n JOIN gold.b AS z ON true", ["gold/a", "gold/b"]),
        ("WITH flights AS (SELECT * FROM bronze.flights) SELECT * FROM flights", ["bronze/flights"]),
        ("WITH a AS (SELECT * FROM s.x), b AS (SELECT * FROM a) SELECT * FROM a JOIN b USING (n)", ["s/x"]),
        ("WITH x AS (SELECT 1 AS n) SELECT * FROM x JOIN s.x USING (n)", ["s/x"]),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r, s.x", ["s/x"]),
        ("SELECT * FROM (WITH d AS (SELECT * FROM s.x) SELECT * FROM d)", ["s/x"]),
        ("SELECT (SELECT max(n) FROM s.y) FROM s.x WHERE n IN (SELECT n FROM s.z)", ["s/x", "s/y", "s/z"]),
        ("SELECT * FROM s.x UNION ALL SELECT * FROM s.y EXCEPT SELECT * FROM s.z", ["s/x", "s/y", "s/z"]),
        ("SELECT * FROM s.x ASOF JOIN s.y USING (k, t)", ["s/x", "s/y"]),
        ("SELECT * FROM s.x, unnest([1, 2]) AS u(n), LATERAL (SELECT n FROM s.y)", ["s/x", "s/y"]),
        ("SELECT * FROM s.x PIVOT (sum(n) FOR k IN ('a', 'b'))", ["s/x"]),
        ("SELECT 'FROM s.y' AS text -- FROM s.z\nFROM s.x /* s.w */", ["s/x"]),
    ],
)
def test_a_query_reads_what_its_tables_say(text: str, tables: list[str]) -> None:
    assert list(tables_read(text, "a.sql")) == tables


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT * FROM s.x; SELECT * FROM s.y", "SELECT, SELECT"),
        ("", "nothing"),
        ("-- nothing yet", "nothing"),
        ("INSERT INTO s.x SELECT * FROM s.y", "INSERT"),
        ("CREATE TABLE s.x AS SELECT * FROM s.y", "CREATE"),
        ("COPY (SELECT * FROM s.x) TO 'x.csv'", "COPY"),
        ("DELETE FROM s.x", "DELETE"),
        ("ATTACH 'other.duckdb'", "ATTACH"),
        ("PRAGMA database_list", "PRAGMA"),
    ],
)
def test_what_is_not_one_query_is_refused(text: str, found: str) -> None:
    with pytest.raises(
        DeclarationError, match=rf"^silver/a\.sql:1: the file holds {found}, but a table is made by one"
    ):
        tables_read(text, "silver/a.sql")


@pytest.mark.parametrize(
    ("text", "line"),
    [("SELECT\n  *\nFROM s.x WHERE WHERE", 3), ("SELEC 1", 1), ("SELECT 1\nFROM (SELECT 2", 2), ("SELECT 'abc", 1)],
)
def test_what_is_not_sql_is_refused_by_file_and_line(text: str, line: int) -> None:
    with pytest.raises(DeclarationError, match=rf"^silver/a\.sql:{line}: .* is not SQL, but"):
        tables_read(text, "silver/a.sql")


@pytest.mark.parametrize(
    "read_from",
    [
        "flights",
        "other.silver.flights",
        "read_csv('x.csv')",
        "read_parquet(['x.parquet'])",
        "read_text('/etc/passwd')",
        "parquet_scan('x')",
        "glob('*')",
        "'x.parquet'",
        "'https://example.org/x.csv'",
        "query('SELECT 1')",
        "query_table('s.x')",
        "silver.read_csv('x')",
    ],
)
def test_what_is_no_table_of_ours_is_refused_by_file_and_line(read_from: str) -> None:
    with pytest.raises(DeclarationError, match=r"^silver/a\.sql:2: .* is read, but it is no table of ours"):
        tables_read(f"SELECT *\nFROM {read_from}", "silver/a.sql")
    with pytest.raises(DeclarationError, match="no table of ours"):
        tables_read(f"SELECT (SELECT count(*) FROM {read_from}) FROM s.x", "silver/a.sql")


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("SELECT 1\nFROM s.x;\n", "SELECT 1\nFROM s.x"),
        ("SELECT 1\nFROM s.x; -- all; of it\n/* and; more */\n", "SELECT 1\nFROM s.x"),
        ("SELECT ';' -- a; b\nFROM s.x", "SELECT ';' -- a; b\nFROM s.x"),
        ("SELECT 1 FROM s.x; SELECT 2", "SELECT 1 FROM s.x; SELECT 2"),
        ("SELECT ';", "SELECT '"),
        ("; 'x", "; 'x"),
        ("-- ; nothing", "-- ; nothing"),
    ],
)
def test_a_file_is_read_without_its_closing_semicolon(tmp_path: Path, text: str, query: str) -> None:
    (tmp_path / "a.sql").write_text(text)
    assert read(tmp_path / "a.sql") == query


def test_a_key_and_its_relation_are_the_same_name() -> None:
    assert tables_read(f"SELECT * FROM {relation('silver/flights')}", "a.sql") == ("silver/flights",)
