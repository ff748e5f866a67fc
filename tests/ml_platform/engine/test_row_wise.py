from __future__ import annotations

import pytest

from ml_platform.engine.row_wise import alone, driven


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM a.b",
        "SELECT upper(x) AS y FROM a.b AS t WHERE t.z > 1",
        "SELECT t.* FROM a.b AS t JOIN a.c AS u USING (k)",
        "SELECT t.* FROM a.b AS t LEFT JOIN a.c AS u ON u.k = t.k LEFT JOIN a.d AS v ON v.k = t.k",
    ],
)
def test_projection_filter_and_look_up_are_row_wise(query: str) -> None:
    assert driven(query).key == "a/b"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM a.b",
        "SELECT x FROM a.b GROUP BY x",
        "SELECT DISTINCT x FROM a.b",
        "SELECT x FROM a.b LIMIT 3",
        "SELECT lag(x) OVER (ORDER BY y) FROM a.b",
        "SELECT x FROM a.b QUALIFY row_number() OVER (PARTITION BY y ORDER BY z) = 1",
        "SELECT x FROM a.b UNION ALL SELECT x FROM a.c",
        "SELECT t.x FROM a.b AS t RIGHT JOIN a.c AS u USING (k)",
        "SELECT t.x FROM a.b AS t FULL JOIN a.c AS u USING (k)",
        "SELECT t.x FROM a.b AS t, a.b AS u",
        "SELECT x FROM a.b WHERE y IN (SELECT y FROM a.c)",
        "WITH w AS (SELECT x FROM a.b) SELECT x FROM w",
        "SELECT random() FROM a.b",
        "SELECT now() FROM a.b",
        "SELECT current_date FROM a.b",
        "SELECT localtimestamp AS at FROM a.b",
        "SELECT x FROM a.b WHERE y < current_localtimestamp()",
        "SELECT localtime AS at FROM a.b",
        "SELECT unnest(x) FROM a.b",
        "SELECT an_unknown_aggregate(x) FROM a.b",
        "SELECT * FROM a.b ASOF JOIN a.c USING (k)",
    ],
)
def test_what_may_look_at_more_than_a_row_is_not(query: str) -> None:
    assert driven(query).key is None
    assert driven(query).because


def test_rows_are_read_alone_from_one_table_that_is_none_of_ours() -> None:
    assert alone("SELECT upper(x) AS y FROM a.b WHERE z > 1", ["a.b"])
    assert not alone("SELECT t.* FROM a.b AS t JOIN a.c AS u USING (k)", ["a.b", "a.c"])
    assert not alone("SELECT count(*) AS n FROM a.b", ["a.b"])
    assert not alone("SELECT * FROM standing.rows", ["standing.rows"])
