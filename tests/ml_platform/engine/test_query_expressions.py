from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from ml_platform.engine.query_expressions import Expressions
from ml_platform.engine.scope import NOWHERE, Relation, Scope
from ml_platform.errors import DeclarationError

PLANES = Relation.of(((name, frozenset({("bronze/planes", name)})) for name in ("tailnum", "seats")), has_more=False)


def over(*relations: Relation) -> Expressions:
    """Expressions over relations, in which every query that is nested gives a column of another table."""
    inner = Relation.of([("x", frozenset({("bronze/inner", "x")}))], has_more=False)
    return Expressions(Scope(None, list(relations)), lambda node, scope: inner, "planes.sql")


def entries(text: str) -> list[exp.Expr]:
    return list(sqlglot.parse_one(f"SELECT {text}", read="duckdb").expressions)


@pytest.mark.parametrize(
    ("entry", "name", "columns"),
    [
        ("seats + 1 AS more", "more", {"seats"}),
        ("Seats", "seats", {"seats"}),
        ("#2", "seats", {"seats"}),
        ("list_transform([seats], lambda tailnum: tailnum) AS own", "own", {"seats"}),
        ("1 AS one", "one", set()),
    ],
)
def test_an_entry_has_a_name_and_what_it_reads(entry: str, name: str, columns: set[str]) -> None:
    [(given, origins)] = over(PLANES).projected(entries(entry)[0], {})
    assert given is not None
    assert (given.lower(), origins) == (name, {("bronze/planes", column) for column in columns})


def test_what_a_query_inside_gives_counts_with_all_its_columns() -> None:
    found = over(PLANES).origins(entries("seats > (SELECT x FROM elsewhere)")[0])
    assert found == {("bronze/planes", "seats"), ("bronze/inner", "x")}


def test_an_alias_is_there_for_the_entries_behind_it() -> None:
    expressions = over(PLANES)
    first, second = entries("seats AS chairs, chairs + 1 AS more")
    list(expressions.projected(first, {}))
    assert list(expressions.projected(second, {})) == [("more", {("bronze/planes", "seats")})]


def test_a_star_leaves_out_replaces_and_renames() -> None:
    star = entries("* EXCLUDE (tailnum) REPLACE (seats * 2 AS seats) RENAME (seats AS chairs)")[0]
    assert list(over(PLANES).projected(star, {})) == [("chairs", {("bronze/planes", "seats")})]


def test_what_more_there_is_of_an_open_table_has_no_name() -> None:
    given = list(over(Relation(rest="bronze/more", name="more")).projected(entries("*")[0], {}))
    assert [name for name, _ in given] == [None]
    assert given[0][1] != NOWHERE


def test_a_name_that_nothing_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(DeclarationError, match=r"planes\.sql:1: it reads seets.*seats"):
        over(PLANES).origins(entries("seets")[0])
