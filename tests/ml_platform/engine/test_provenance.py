from __future__ import annotations

import duckdb
import pytest

from ml_platform.engine.provenance import asked, asked_rows


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a FROM bronze.x",
        "select a, from bronze.x",
        "-- what it is\nSELECT a FROM bronze.x AS t WHERE a > 0 ORDER BY a",
        "SELECT a FROM bronze.x WHERE a IN (SELECT a FROM bronze.y)",
    ],
)
def test_a_projection_of_one_table_also_gives_the_place_of_each_row(query: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA bronze; CREATE TABLE bronze.y AS SELECT 7 AS a")
        connection.execute("CREATE TABLE bronze.x AS SELECT 7 AS a, 'f.csv' AS _source_file, 3 AS _source_offset")
        found = connection.sql(str(asked(query, ["bronze.x"])))
        assert (found.columns, found.fetchall()) == (["_asked_file", "_asked_offset", "a"], [("f.csv", 3, 7)])


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a FROM bronze.y",
        "SELECT DISTINCT a FROM bronze.x",
        "SELECT ALL a FROM bronze.x",
        "SELECT a FROM bronze.x GROUP BY a",
        "SELECT a FROM bronze.x LIMIT 1",
        "SELECT a FROM bronze.x, bronze.y",
        "SELECT a FROM bronze.x JOIN bronze.y USING (a)",
        "SELECT a FROM bronze.x UNION ALL SELECT a FROM bronze.y",
        "SELECT a FROM (SELECT * FROM bronze.x)",
        "WITH c AS (SELECT 1) SELECT a FROM bronze.x",
        "FROM bronze.x SELECT a",
        "SELECT count(*) FROM bronze.x",
        "SELECT unnest([a]) FROM bronze.x",
        "SELECT row_number() OVER () FROM bronze.x",
    ],
)
def test_where_a_row_is_not_one_landed_row_its_place_is_not_asked_for(query: str) -> None:
    assert asked(query, ["bronze.x"]) is None


def test_a_join_also_gives_the_rows_that_it_joined() -> None:
    query = "SELECT y.b FROM silver.x AS x LEFT JOIN silver.y AS y USING (a) WHERE x.a > 0"
    found = asked_rows(query, {"silver/x": ["a"], "silver/y": ["a", "b"]})
    assert found is not None
    assert found.names == {"silver/x": {"a": "_asked_0_a"}, "silver/y": {"a": "_asked_1_a", "b": "_asked_1_b"}}
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA silver; CREATE TABLE silver.x AS SELECT unnest([7, 8]) AS a")
        connection.execute("CREATE TABLE silver.y AS SELECT 7 AS a, 'seven' AS b")
        rows = connection.sql(found.query).order("1").fetchall()
    assert rows == [(7, 7, "seven", "seven"), (8, None, None, None)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT DISTINCT a FROM silver.x",
        "SELECT a, count(*) AS n FROM silver.x GROUP BY a",
        "SELECT a, row_number() OVER () AS n FROM silver.x",
        "SELECT x.a FROM silver.x JOIN silver.x AS again ON again.a = x.a",
        "SELECT x.a FROM silver.x SEMI JOIN silver.y ON y.a = x.a",
        "SELECT x.a FROM silver.x JOIN (SELECT * FROM silver.y) AS y ON y.a = x.a",
        "WITH c AS (SELECT * FROM silver.x) SELECT a FROM c",
        "SELECT a FROM silver.x UNION ALL SELECT a FROM silver.y",
        "SELECT a FROM silver.z",
    ],
)
def test_where_a_row_is_not_one_row_of_each_table_they_are_not_asked_for(query: str) -> None:
    assert asked_rows(query, {"silver/x": ["a"], "silver/y": ["a"]}) is None
