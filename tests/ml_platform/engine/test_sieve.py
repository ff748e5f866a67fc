from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine import delta, sieve
from ml_platform.engine.expectations import Expectations
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.sieve import Sieve
from ml_platform.engine.staging import present
from ml_platform.errors import AuditError, ServiceError
from ml_platform.records.expectation import Rule
from ml_platform.records.table import StagedFiles, TableSnapshot
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

QUERY = "SELECT n FROM bronze.numbers"


@pytest.fixture
def numbers(put: Any) -> dict[str, StagedFiles]:
    table: TableSnapshot = put("bronze/numbers", {"n": [1, 2, 3, 3]})
    return {"bronze.numbers": table}


@pytest.fixture
def over_two(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Sieve:
    rule = Rule("low", "between", "quarantine", column="n", high=2)
    recipe = Recipe("silver/n", ("bronze/numbers",), Shape(), "1", query=QUERY, expects=Expectations((rule,)))
    return Sieve(recipe, [""], [""], {}, lakehouse, compute)


def aside(lakehouse: EmbeddedLakehouse) -> list[Path]:
    return sorted(Path(lakehouse.files("platform").uri).glob("sifted/*"))


def test_the_rows_of_a_query_are_divided_while_they_are_set_aside(
    over_two: Sieve, numbers: dict[str, StagedFiles], lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    with over_two.sifted(QUERY, numbers) as sifted:
        assert (sifted.rows_in, sifted.rows_out, sifted.bad.rows) == (4, 2, 2)
        assert compute.fetch(sifted.query, sifted.relations).to_pylist() == [{"n": 1}, {"n": 2}]
        assert len(aside(lakehouse)) == 1
    assert aside(lakehouse) == []
    assert delta.snapshot(sifted.bad.location) is None


def test_a_query_is_run_once(over_two: Sieve, numbers: dict[str, StagedFiles], monkeypatch: pytest.MonkeyPatch) -> None:
    staged, whole = [], EmbeddedCompute.stage
    monkeypatch.setattr(
        EmbeddedCompute, "stage", lambda self, query, *more: staged.append(query) or whole(self, query, *more)
    )
    with over_two.sifted(QUERY, numbers):
        pass
    assert len(staged) == 1


def test_a_rule_that_does_not_run_is_named_and_a_query_that_does_not_is_not_taken_for_one(
    over_two: Sieve, numbers: dict[str, StagedFiles], lakehouse: EmbeddedLakehouse
) -> None:
    rule = Rule("share", "sql", "quarantine", predicate="10 // (n - 3) > 1")
    recipe = replace(over_two.recipe, expects=Expectations((*over_two.recipe.expects.rules, rule)))
    dividing = replace(over_two, recipe=recipe)
    with pytest.raises(AuditError, match=r"silver/n has the rule share, .*Division by zero"):
        dividing.sifted(QUERY, numbers).__enter__()
    with pytest.raises(ServiceError, match="the query of silver/n does not run"):
        over_two.sifted("SELECT 10 // (n - 3) AS n FROM bronze.numbers", numbers).__enter__()
    assert aside(lakehouse) == []
    assert not present(lakehouse.table("silver/n__quarantine"))


def test_a_standing_row_on_which_a_rule_does_not_run_names_it(
    over_two: Sieve, numbers: dict[str, StagedFiles], put: Any
) -> None:
    rule = Rule("share", "sql", "quarantine", predicate="10 // (n - 7) > 1")
    dividing = replace(over_two, recipe=replace(over_two.recipe, expects=Expectations((rule,))))
    with pytest.raises(AuditError, match=r"silver/n has the rule share, .*Division by zero"):
        dividing.sifted(QUERY, numbers, put("silver/n", {"n": [7]})).__enter__()


def test_a_row_that_is_neither_good_nor_bad_is_an_error_and_leaves_nothing(
    over_two: Sieve,
    numbers: dict[str, StagedFiles],
    lakehouse: EmbeddedLakehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def losing(*given: Any) -> Iterator[Any]:
        yield from ()

    monkeypatch.setattr(sieve, "refused", losing)
    with pytest.raises(AssertionError, match="4 rows in, 2 out and 0 quarantined"), over_two.sifted(QUERY, numbers):
        pass
    assert aside(lakehouse) == []
    assert not present(lakehouse.table("silver/n__quarantine"))


def test_a_rule_about_a_column_that_is_not_made_names_the_nearest(
    over_two: Sieve, numbers: dict[str, StagedFiles]
) -> None:
    query = "SELECT n AS nn FROM bronze.numbers"
    with (
        pytest.raises(AuditError, match="silver/n has no column n, but the rule low of silver/n is about it"),
        over_two.sifted(query, numbers),
    ):
        pass
