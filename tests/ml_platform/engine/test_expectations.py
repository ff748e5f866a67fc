from __future__ import annotations

from typing import Any

import duckdb
import pytest

from ml_platform.engine.expectations import Expectations, bad, flag, flagged, parent_relation, sentence, sql_value
from ml_platform.records.expectation import Rule


def broken(rule: Rule, values: str, *, partition: str | None = None, parent: str = "('a')") -> list[Any]:
    """The values of column v of the rows that break the rule; the rows as SQL spells them."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"CREATE SCHEMA parents; CREATE TABLE {parent_relation(0)} AS SELECT * FROM (VALUES {parent}) AS t(p)"
        )
        rows = f"(SELECT * FROM (VALUES {values}) AS t(v, m)) AS made"
        query = f"SELECT v FROM ({flagged(rows, [rule], partition)}) AS f WHERE {flag(0)} ORDER BY v"
        return [row[0] for row in connection.sql(query).fetchall()]


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        (Rule("r", "not_null", column="v"), "(1, ''), (NULL, '')", [None]),
        (Rule("r", "unique", column="v"), "(1, ''), (1, ''), (2, ''), (NULL, ''), (NULL, '')", [1, 1]),
        (Rule("r", "between", column="v", low=0, high=2), "(-1, ''), (0, ''), (2, ''), (3, ''), (NULL, '')", [-1, 3]),
        (Rule("r", "between", column="v", low=0.5), "(0, ''), (1, '')", [0]),
        (Rule("r", "between", column="v", high=1), "(1.0, ''), ('nan'::DOUBLE, '')", ["nan"]),
        (
            Rule("r", "between", column="v", high="2013-01-02"),
            "(DATE '2013-01-02', ''), (DATE '2013-01-03', '')",
            ["day"],
        ),
        (
            Rule("r", "one_of", column="v", values=("a", "O'Hare")),
            "('a', ''), ('O''Hare', ''), ('b', ''), (NULL, '')",
            ["b"],
        ),
        (
            Rule("r", "matches", column="v", pattern="a|b+"),
            "('a', ''), ('bb', ''), ('ab', ''), ('a\n', ''), (NULL, '')",
            ["a\n", "ab"],
        ),
        (Rule("r", "matches", column="v", pattern=r"\d{2}"), "(12, ''), (123, '')", [123]),
        (
            Rule("r", "references", column="v", parent="silver/p", parent_column="p"),
            "('a', ''), ('b', ''), (NULL, '')",
            ["b"],
        ),
        (Rule("r", "sql", predicate="v > 1 -- more"), "(1, ''), (2, ''), (NULL, '')", [1]),
        (Rule("r", "sql", predicate="v > 1 OR m = 'x'"), "(1, 'x'), (1, 'y')", [1]),
    ],
)
def test_rows_that_break_a_rule_are_flagged_and_a_null_breaks_not_null_alone(
    rule: Rule, values: str, expected: list[Any]
) -> None:
    shown = [str(v) if v is not None and v != v else "day" if hasattr(v, "year") else v for v in broken(rule, values)]
    assert shown == expected


def test_rows_are_unique_within_their_partition() -> None:
    values = "(1, 'x'), (1, 'y'), (2, 'x'), (2, 'x')"
    assert broken(Rule("r", "unique", column="v"), values, partition="m") == [2, 2]
    assert broken(Rule("r", "unique", column="v"), values) == [1, 1, 2, 2]


def test_a_parent_that_holds_a_value_twice_doubles_no_row() -> None:
    rule = Rule("r", "references", column="v", parent="silver/p", parent_column="p")
    assert broken(rule, "('a', ''), ('b', '')", parent="('a'), ('a'), (NULL)") == ["b"]


@pytest.mark.parametrize("name", ['v"; DROP TABLE x; --', "v'", "select", "v w"])
def test_a_name_is_never_sql(name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    with duckdb.connect() as connection:
        query = flagged(f"(SELECT 1 AS {quoted}) AS made", [Rule("r", "between", column=name, low=2)], None)
        assert connection.sql(query).fetchall() == [(1, True)]


def test_a_row_that_breaks_a_failing_rule_too_is_not_set_apart() -> None:
    rules = [Rule("a", "not_null", "fail"), Rule("b", "not_null", "quarantine"), Rule("c", "not_null", "warn")]
    flags = [(False, True, True), (True, True, False), (True, False, False), (False, False, True)]
    with duckdb.connect() as connection:
        rows = ", ".join(str(row) for row in flags)
        names = ", ".join(flag(position) for position in range(3))
        found = connection.sql(f"SELECT {bad(rules)} FROM (VALUES {rows}) AS t({names})").fetchall()
    assert [one for (one,) in found] == [True, False, False, False]


def test_a_table_knows_which_parents_decide_its_rows() -> None:
    looked = [
        Rule("a", "references", "warn", column="v", parent="silver/b", parent_column="p"),
        Rule("b", "references", "quarantine", column="v", parent="silver/a", parent_column="p"),
    ]
    expects = Expectations(tuple(looked))
    assert (expects.parents, expects.deciding_parents) == (("silver/a", "silver/b"), ("silver/a",))
    assert expects.quarantine
    assert not Expectations(tuple(looked[:1])).quarantine


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule("r", "between", column="v", low=0), "v is less than 0"),
        (Rule("r", "between", column="v", high=0), "v is greater than 0"),
        (Rule("r", "one_of", column="v", values=tuple(range(11))), "v is none of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …"),
        (Rule("r", "matches", column="v", pattern="a\nother: b"), "v does not match a other: b"),
        (Rule("r", "row_count", low=1, high=9), "a partition does not have at least 1 and at most 9 rows"),
        (Rule("r", "freshness", column="v", max_hours=1.5), "the newest v is older than 1.5 hours"),
    ],
)
def test_a_rule_says_what_is_wrong_in_one_line(rule: Rule, said: str) -> None:
    assert sentence(rule) == said


def test_true_is_not_the_number_one() -> None:
    assert (sql_value(True), sql_value(1)) == ("TRUE", "1")
