from __future__ import annotations

import pytest

from ml_platform.engine.predicate import query_columns, require_pattern, require_predicate
from ml_platform.errors import DeclarationError


@pytest.mark.parametrize(
    "text", ["a > 1", "A > 1 -- why", "a", "a BETWEEN 1 AND 2 OR b IN ('x', ')')", "CAST(a AS VARCHAR) ~ 'x'"]
)
def test_an_expression_over_the_rows_columns_is_a_predicate(text: str) -> None:
    require_predicate(text, "defs.yaml:1: sql", ["a", "b"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not one expression"),
        ("DROP TABLE x", "not one expression"),
        ("a > 1; DROP TABLE x", "not one expression"),
        ("a > 1) OR (1=1", "not one expression"),
        ("1), (2", "not one expression"),
        ("a > 1, b > 1", "not one expression"),
        ("a FROM x", "not one expression"),
        ("1) FROM x WHERE (1=1", "not one expression"),
        ("a > 'x", "not one expression"),
        ("a /* x", "not one expression"),
        ("a > (SELECT max(b) FROM c)", "looks beyond the row"),
        ("a IN (FROM c)", "looks beyond the row"),
        ("EXISTS (FROM c)", "looks beyond the row"),
        ("count(*) > 1", "looks beyond the row"),
        ("row_number() OVER () = 1", "looks beyond the row"),
        ("*", "looks beyond the row"),
        ("a AS b", "looks beyond the row"),
        ("a < now()", "looks beyond the row"),
        ("a < current_date", "looks beyond the row"),
        ("random() < 0.5", "looks beyond the row"),
        ("getenv('HOME') = a", "looks beyond the row"),
        ("silver.a > 1", "names a table"),
        ("aa > 1", "has no column aa. Did you mean a"),
    ],
)
def test_anything_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(DeclarationError, match=rf"^defs\.yaml:1: sql is .*{why}"):
        require_predicate(text, "defs.yaml:1: sql", ["a", "b"])


def test_columns_are_not_looked_for_where_they_are_not_known() -> None:
    require_predicate("anything > 1", "defs.yaml:1: sql", None)


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT a, b + 1 AS c, FROM x", ("a", "c")),
        ("WITH q AS (SELECT 1 AS z) SELECT z FROM q", ("z",)),
        ("SELECT a FROM x UNION ALL SELECT b FROM y", ("a",)),
        ("SELECT * FROM x", None),
        ("SELECT x.* FROM x", None),
        ("SELECT columns('a') FROM x", None),
        ("SELECT a + 1 FROM x", None),
        ("FROM x", None),
        ("SELECT (", None),
        ("DROP TABLE x", None),
    ],
)
def test_a_query_says_its_columns_or_that_its_text_does_not(query: str, columns: tuple[str, ...] | None) -> None:
    assert query_columns(query) == columns


def test_a_pattern_is_one_of_re2() -> None:
    require_pattern(r"[A-Z]{2}\d*", "defs.yaml:1")
    for pattern in ("[", "a)|(b", "(?<=a)b", "*"):
        with pytest.raises(DeclarationError, match=r"^defs\.yaml:1: pattern is .* no pattern in RE2's syntax"):
            require_pattern(pattern, "defs.yaml:1")
