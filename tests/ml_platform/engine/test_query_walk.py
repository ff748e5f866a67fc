"""Walks that a query alone decides; what walks find of columns is proven beside DuckDB and sqlglot in test_lineage."""

from __future__ import annotations

import pytest

from ml_platform.engine.query_walk import QueryWalk
from ml_platform.engine.scope import Relation
from ml_platform.engine.sql import parsed
from ml_platform.errors import DeclarationError

KNOWN = {"s/x": Relation.of([(name, frozenset({("s/x", name)})) for name in ("id", "a")], has_more=False)}


def walked(query: str) -> Relation:
    return QueryWalk(KNOWN, "silver/q.sql").query(parsed(query, "silver/q.sql"), {}, None)


def test_a_named_query_that_nobody_reads_is_not_looked_at() -> None:
    assert list(walked("WITH unread AS (SELECT nothing FROM s.x) SELECT id FROM s.x").columns) == ["id"]


def test_a_named_query_hides_the_one_around_it() -> None:
    found = walked("WITH q AS (SELECT id FROM s.x) SELECT n FROM (WITH q AS (SELECT a AS n FROM s.x) SELECT * FROM q)")
    assert found.find("n") == {("s/x", "a")}


def test_a_wrong_name_inside_a_named_query_is_told_by_its_line() -> None:
    with pytest.raises(DeclarationError, match=r"^silver/q\.sql:2: it reads idd, .*Did you mean id\?"):
        walked("WITH q AS (\n  SELECT idd FROM s.x)\nSELECT * FROM q")


def test_a_table_that_is_not_known_has_any_column() -> None:
    assert walked("SELECT whatever FROM s.other").find("whatever") == {("s/other", "whatever")}
