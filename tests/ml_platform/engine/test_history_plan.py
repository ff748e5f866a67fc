from __future__ import annotations

import duckdb

from ml_platform.engine.history_plan import folded, observed
from ml_platform.engine.plan import Shape

SHAPE = Shape(key=("id",), write="history", newest="moment")
TABLES = """
CREATE SCHEMA incoming; CREATE SCHEMA standing; CREATE SCHEMA deleted;
CREATE TABLE incoming.rows AS SELECT * FROM (VALUES ('a', 4, 'y')) AS t(id, moment, v);
CREATE TABLE deleted.rows AS SELECT * FROM (VALUES ('a', 8)) AS t(id, deleted_at);
CREATE TABLE standing.rows AS SELECT * FROM (VALUES
    ('a', 'x', 1, CAST(NULL AS INTEGER), true, [3, 6]), ('b', 'x', 1, NULL, true, CAST([] AS INTEGER[]))
) AS t(id, v, valid_from, valid_to, is_current, observed_at);
"""


def test_what_stands_is_observed_at_each_of_its_moments() -> None:
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        found = connection.execute(f"SELECT * FROM ({observed(SHAPE, ['v'])}) ORDER BY id, moment").fetchall()
    assert found == [("a", "x", 1), ("a", "x", 3), ("a", "x", 6), ("b", "x", 1)]


def test_intervals_are_folded_from_all_that_was_observed() -> None:
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        found = connection.execute(folded(SHAPE, ["v"])).fetchall()
    assert found == [
        ("a", "x", 1, 4, False, [3]),
        ("a", "y", 4, 6, False, None),
        ("a", "x", 6, 8, False, None),
        ("b", "x", 1, None, True, []),
    ]


def test_history_of_a_key_alone_is_when_it_was_there() -> None:
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        found = connection.execute(folded(SHAPE, [])).fetchall()
    assert found == [("a", 1, 8, False, [3, 4, 6]), ("b", 1, None, True, [])]
