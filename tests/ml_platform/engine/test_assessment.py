from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from ml_platform.engine import clock
from ml_platform.engine.assessment import Assessment, BrokenRulesError, blamed, require_columns
from ml_platform.engine.expectations import Expectations
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.errors import AuditError, NotFoundError, RefusedError, ServiceError, TransientServiceError
from ml_platform.records.expectation import Outcome, Rule
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

MONTHS = ["2013-01", "2013-02"]
NOON = datetime(2013, 2, 3, 12, tzinfo=UTC)


@pytest.fixture
def assess(put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Any:
    """The outcome of one rule over a table of ids, moments and months."""
    table = put(
        "silver/x",
        {
            "id": ["a", "b", "c", "d"],
            "at": [datetime(2013, 1, day, tzinfo=UTC) for day in (1, 2)] + [NOON.replace(hour=hour) for hour in (0, 1)],
            "day": [date(2013, 2, 1)] * 4,
            "month": ["2013-01", "2013-01", "2013-02", "2013-02"],
        },
        "month",
    )

    def assess(rule: Rule, *partitions: str) -> Outcome:
        shape = Shape(key=("id",), partition="month")
        recipe = Recipe("silver/x", (), shape, "1", query="", expects=Expectations((rule,), "replay"))
        assessment = Assessment(recipe, {}, lakehouse, compute)
        return assessment.outcomes(table, partitions or MONTHS, None)[0]

    return assess


def test_broken_rows_are_counted_and_a_few_are_shown_by_their_key(assess: Any) -> None:
    found = assess(Rule("r", "one_of", "warn", column="month", values=("2013-03",)))
    assert found.broken == 4
    assert found.examples == ("id=a, month=2013-01", "id=b, month=2013-01", "id=c, month=2013-02")


def test_only_the_partitions_that_are_asked_for_are_looked_at(assess: Any) -> None:
    assert assess(Rule("r", "one_of", "warn", column="id", values=("a", "b")), "2013-01").broken == 0


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule("never", "sql", predicate="10 // (length(id) - 1) > 1"), "never, but it .*: .*Division by zero.*10 //"),
        (Rule("number", "sql", "warn", predicate="CAST(id AS INT) > 1"), "number, but it .*: .*'a' to INT32.*CAST"),
        (Rule("least", "between", column="id", low=1), "least, but it does not run on the rows: .*id is less than 1"),
    ],
)
def test_a_rule_that_does_not_run_on_a_row_is_named_with_its_table(assess: Any, rule: Rule, said: str) -> None:
    with pytest.raises(AuditError, match=f"silver/x has the rule {said}") as raised:
        assess(rule)
    assert "staged.rows" not in str(raised.value)


def test_of_rules_the_one_that_does_not_run_is_blamed_and_a_service_that_fails_is_not(
    put: Any, compute: EmbeddedCompute
) -> None:
    rows = put("silver/x", {"id": ["a"]})
    rules = (Rule("there", "not_null", column="id"), Rule("number", "sql", predicate="CAST(id AS INT) > 1"))
    recipe = Recipe("silver/x", (), Shape(), "1", query="", expects=Expectations(rules))
    failed = ServiceError("it does not run")
    assert "silver/x has the rule number" in str(blamed(failed, recipe, rules, rows, {}, compute))
    assert blamed(failed, recipe, rules[:1], rows, {}, compute) is failed
    for other in (TransientServiceError("busy"), RefusedError("ended")):
        assert blamed(other, recipe, rules, rows, {}, compute) is other


@pytest.mark.parametrize(("low", "high", "broken"), [(2, None, 0), (3, None, 2), (None, 1, 2), (2, 2, 0)])
def test_rows_are_counted_in_each_partition(assess: Any, low: int | None, high: int | None, broken: int) -> None:
    found = assess(Rule("r", "row_count", "warn", low=low, high=high))
    assert found.broken == broken
    assert found.examples == ("2013-01: 2 rows", "2013-02: 2 rows")[:broken]


def test_a_partition_without_rows_has_none(assess: Any) -> None:
    found = assess(Rule("r", "row_count", "warn", low=1), "2013-01", "2013-07")
    assert (found.broken, found.examples) == (1, ("2013-07: 0 rows",))


@pytest.mark.parametrize(
    ("column", "hours", "broken"), [("at", 11, 0), ("at", 10.5, 1), ("day", 60, 0), ("day", 59, 1)]
)
def test_an_age_is_the_whole_tables_by_the_platforms_clock(
    assess: Any, lakehouse: EmbeddedLakehouse, column: str, hours: float, broken: int
) -> None:
    clock.advance(lakehouse, NOON)
    found = assess(Rule("r", "freshness", "warn", column=column, max_hours=hours), "2013-01")
    assert found.broken == broken


def test_an_age_needs_a_clock_and_a_moment(assess: Any, lakehouse: EmbeddedLakehouse) -> None:
    rule = Rule("r", "freshness", "warn", column="at", max_hours=1)
    with pytest.raises(NotFoundError, match="the replay clock is not set"):
        assess(rule)
    clock.advance(lakehouse, NOON)
    with pytest.raises(AuditError, match="An age is measured by dates and timestamps"):
        assess(Rule("r", "freshness", "warn", column="id", max_hours=1))


def test_a_table_without_rows_is_not_fresh_and_breaks_no_other_rule(
    put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    rules = (
        Rule("fresh", "freshness", "warn", column="at", max_hours=1),
        Rule("there", "not_null", "warn", column="at"),
        Rule("some", "row_count", "warn", low=1),
    )
    recipe = Recipe("silver/x", (), Shape(), "1", query="", expects=Expectations(rules))
    empty = put("silver/x", {"at": [NOON]})
    empty = type(empty)(empty.location, empty.schema, (), (), 0)
    found = Assessment(recipe, {}, lakehouse, compute).outcomes(empty, [""], None)
    assert [(it.broken, it.said) for it in found] == [
        (1, "there is no newest at, for no row has one"),
        (0, "at is NULL"),
        (1, "a partition does not have at least 1 rows"),
    ]


def test_a_rule_that_fails_says_what_is_wrong_and_what_to_do(assess: Any) -> None:
    with pytest.raises(BrokenRulesError) as broken:
        assess(Rule("r", "one_of", column="id", values=("a", "b", "c")))
    assert str(broken.value) == (
        "silver/x breaks r, but that fails the run: r, 1 times: id is none of a, b, c (id=d). "
        "severity: warn lets such rows pass, quarantine sets them apart. "
        "Mend the rows or the rule; the table still stands at its last version."
    )


def test_a_column_of_a_parent_that_is_not_there_names_the_nearest(put: Any) -> None:
    rule = Rule("r", "references", column="id", parent="silver/y", parent_column="idd")
    parent = put("silver/y", {"id": ["a"]})
    with pytest.raises(AuditError, match="silver/y has no column idd, but the rule r of silver/x is about it"):
        require_columns("silver/x", [rule], ["id"], {"silver/y": parent})
