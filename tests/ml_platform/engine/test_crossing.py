from __future__ import annotations

import pytest

from ml_platform.engine.crossing import crossings
from ml_platform.engine.sql import parsed


def told(query: str) -> list[str]:
    return [text for _, text, _ in crossings(parsed(query, "g.sql"), "month")]


@pytest.mark.parametrize(
    ("query", "part"),
    [
        (
            "SELECT month, sum(v) OVER (PARTITION BY k ORDER BY t) FROM bronze.s",
            "SUM(v) OVER (PARTITION BY k ORDER BY t)",
        ),
        (
            "SELECT month, lag(v) OVER w AS l FROM bronze.s WINDOW w AS (PARTITION BY k ORDER BY t)",
            "w OVER (PARTITION BY k ORDER",
        ),
        ("SELECT k, max(month) AS month FROM bronze.s GROUP BY k", "GROUP BY k"),
        ("SELECT DISTINCT ON (k) k, month FROM bronze.s ORDER BY t", "DISTINCT ON (k)"),
        ("SELECT month, v / (SELECT sum(v) FROM bronze.s) AS share FROM bronze.s", "SUM(v)"),
        ("WITH a AS (SELECT k, month FROM bronze.s) SELECT k, max(month) AS month FROM a GROUP BY k", "GROUP BY k"),
        (
            "SELECT month, k FROM bronze.s QUALIFY row_number() OVER (PARTITION BY k ORDER BY t) = 1",
            "ROW_NUMBER() OVER",
        ),
    ],
)
def test_what_looks_over_partitions_is_told(query: str, part: str) -> None:
    (found,) = told(query)
    assert part in found


@pytest.mark.parametrize(
    "query",
    [
        "SELECT k, month FROM bronze.s WHERE v > 1",
        "SELECT month, k, sum(v) AS v FROM bronze.s GROUP BY month, k",
        "SELECT month, k, sum(v) AS v FROM bronze.s GROUP BY ALL",
        "SELECT month, k, sum(v) AS v FROM bronze.s GROUP BY 1, 2",
        "SELECT DISTINCT k, month FROM bronze.s",
        "SELECT month, lag(v) OVER (PARTITION BY s.month, k ORDER BY t) AS l FROM bronze.s AS s",
        "SELECT month, lag(v) OVER w AS l FROM bronze.s WINDOW w AS (PARTITION BY month ORDER BY t)",
        "SELECT month, (SELECT sum(v) FROM bronze.s AS i WHERE i.month = o.month) AS v FROM bronze.s AS o",
    ],
)
def test_what_keeps_partitions_apart_is_not(query: str) -> None:
    assert told(query) == []


def test_tables_are_told_through_what_a_query_names() -> None:
    query = """
        WITH a AS (SELECT k FROM bronze.s), b AS (SELECT a.k FROM a JOIN silver.t USING (k))
        SELECT b.k, p.n
        FROM b JOIN (SELECT k, count(*) AS n FROM silver.p GROUP BY k) AS p USING (k)
        QUALIFY row_number() OVER (ORDER BY b.k) = 1
    """
    assert [(line, keys) for line, _, keys in crossings(parsed(query, "g.sql"), "month")] == [
        (5, ("bronze/s", "silver/p", "silver/t")),
        (4, ("silver/p",)),
    ]
