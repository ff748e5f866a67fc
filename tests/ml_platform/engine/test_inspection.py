"""What is expected of a table, through its making: who stays, who goes, and what a kill leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.assessment import BrokenRulesError
from ml_platform.engine.expectations import Expectations
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import present
from ml_platform.engine.tables import Made, make
from ml_platform.errors import AuditError, ConflictError, NotFoundError, ServiceError
from ml_platform.records.expectation import Rule
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

EVERY = ["2013-01", "2013-02"]
KEY, APART = "silver/events", "silver/events__quarantine"
LOW = Rule("low", "between", "quarantine", column="value", high=9)
MERGE = Shape(key=("id",), partition="month", write="merge", newest="known")

Making = Callable[..., Made]


def recipe(*rules: Rule, code: str = "1", **more: Any) -> Recipe:
    given: dict[str, Any] = {"shape": Shape(key=("id",), partition="month"), "query": "SELECT * FROM bronze.events"}
    return Recipe(KEY, ("bronze/events",), code=code, expects=Expectations(rules), **{**given, **more})


def rows(*given: tuple[Any, ...]) -> pa.Table:
    """Rows of id, known, value and month; the month by its number."""
    kinds = {"id": pa.string(), "known": pa.int64(), "value": pa.int64(), "month": pa.string()}
    columns = list(zip(*given, strict=True)) if given else [()] * 4
    columns[3] = tuple(month and f"2013-{month:02}" for month in columns[3])
    return pa.table({name: pa.array(list(c), kinds[name]) for name, c in zip(kinds, columns, strict=True)})


@pytest.fixture
def making(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Making:
    def making(of: Recipe, *partitions: str) -> Made:
        return make(of, partitions or EVERY, EVERY, lakehouse, compute)

    return making


@pytest.fixture
def ids(lakehouse: EmbeddedLakehouse) -> Callable[[], tuple[list[Any], list[Any]]]:
    """The ids in the table, and those in its quarantine."""

    def ids() -> tuple[list[Any], list[Any]]:
        table = delta.read_rows(delta.existing(lakehouse.table(KEY)))["id"].to_pylist()
        apart = delta.read_rows(delta.existing(lakehouse.table(APART)))["row"].to_pylist()
        return sorted(table), sorted(str(json.loads(row)["id"]) for row in apart)

    return ids


def test_bad_rows_go_to_the_quarantine_of_their_partition(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1), ("c", 1, 11, 2), ("d", 1, None, 2)), "month")
    made = making(recipe(LOW))
    assert ids() == (["a", "d"], ["b", "c"])
    found = made.inspected
    assert (found.rows_in, found.rows_out) == (4, 2)
    assert found.quarantine is not None
    assert {file.partition["month"]: file.rows for file in found.quarantine.files} == {"2013-01": 1, "2013-02": 1}
    assert [(it.rule.name, it.broken) for it in found.outcomes] == [("low", 2)]


def test_nothing_changes_where_nothing_changed_and_the_rules_are_still_told(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    first = making(recipe(LOW))
    monkeypatch.setattr(EmbeddedCompute, "stage", lambda *_: pytest.fail("a query ran"))
    again = making(recipe(LOW))
    assert again.commit.unchanged
    assert again.inspected.quarantine == first.inspected.quarantine
    assert again.inspected.outcomes == first.inspected.outcomes
    assert (again.inspected.rows_in, again.inspected.rows_out) == (0, 0)


@pytest.mark.parametrize("values", [[], [10, 11], [1, 2]], ids=["empty", "all bad", "all good"])
def test_a_quarantine_is_there_whatever_came(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse, values: list[int]
) -> None:
    put("bronze/events", rows(*((f"{value}", 1, value, 1) for value in values)), "month")
    made = making(recipe(LOW))
    bad = sum(value > 9 for value in values)
    assert delta.existing(lakehouse.table(KEY)).rows == len(values) - bad == made.inspected.rows_out
    assert delta.existing(lakehouse.table(APART)).rows == bad


def test_equal_rows_collapse_before_they_are_counted(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("a", 1, 1, 1), ("b", 1, 10, 1), ("b", 1, 10, 1)), "month")
    assert making(recipe(LOW)).inspected.rows_in == 2
    assert ids() == (["a"], ["b"])


def test_of_rows_that_share_a_value_all_go(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 1, 1), ("c", 1, 1, 2), ("d", 1, None, 1)), "month")
    making(recipe(Rule("one", "unique", "quarantine", column="value")))
    assert ids() == (["c", "d"], ["a", "b"])


def test_a_null_key_can_be_set_apart_and_is_refused_otherwise(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows((None, 1, 1, 1), ("b", 1, 1, 1)), "month")
    with pytest.raises(AuditError, match="a key is never NULL"):
        making(recipe(LOW))
    making(recipe(Rule("named", "not_null", "quarantine", column="id")))
    assert ids() == (["b"], ["None"])


def test_a_bad_row_without_a_partition_is_refused(put: Any, making: Making, lakehouse: EmbeddedLakehouse) -> None:
    put("bronze/events", rows(("a", 1, 10, None), ("b", 1, 1, 1)))
    with pytest.raises(AuditError, match="rows whose month is NULL or empty"):
        making(recipe(LOW))
    assert not present(lakehouse.table(APART))


def test_a_mended_rule_takes_each_row_once_and_they_leave_the_quarantine(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1), ("c", 1, 99, 1)), "month")
    making(recipe(LOW))
    mended = recipe(replace(LOW, high=10), code="2")
    assert making(mended).inspected.rows_in == 3
    assert ids() == (["a", "b"], ["c"])
    assert making(mended).commit.unchanged


def test_mended_data_takes_each_row_once_and_touches_no_other_partition(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 10, 1), ("b", 1, 10, 2)), "month")
    making(recipe(LOW))
    put("bronze/events", rows(("a", 2, 1, 1)), "month")
    assert making(recipe(LOW)).remade == ("2013-01",)
    assert ids() == (["a"], ["b"])
    assert making(recipe(LOW)).commit.unchanged


def test_a_late_parent_lets_its_rows_pass(put: Any, making: Making, ids: Any) -> None:
    known = Rule("known", "references", "quarantine", column="id", parent="silver/ids", parent_column="id")
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 1, 2)), "month")
    with pytest.raises(NotFoundError, match="Materialize silver/ids first"):
        making(recipe(known))
    put("silver/ids", {"id": ["a"]})
    made = making(recipe(known))
    assert ids() == (["a"], ["b"])
    assert [one.key for one in made.read] == ["silver/ids", "bronze/events"]
    put("silver/ids", {"id": ["a", "b"]})
    making(recipe(known))
    assert ids() == (["a", "b"], [])
    assert making(recipe(known)).commit.unchanged


def test_a_parent_that_only_warns_makes_nothing_anew(put: Any, making: Making) -> None:
    known = Rule("known", "references", "warn", column="id", parent="silver/ids", parent_column="id")
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 1, 1)), "month")
    put("silver/ids", {"id": ["a"]})
    assert [it.broken for it in making(recipe(known)).inspected.outcomes] == [1]
    put("silver/ids", {"id": ["a", "b"]})
    made = making(recipe(known))
    assert made.commit.unchanged
    assert [it.broken for it in made.inspected.outcomes] == [0]


def test_incoming_rows_are_sifted_before_a_merge(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 2, 1)), "month")
    making(recipe(LOW, shape=MERGE))
    put("bronze/events", rows(("a", 2, 10, 1), ("c", 2, 3, 1)), "month")
    making(recipe(LOW, shape=MERGE))
    assert ids() == (["a", "b", "c"], ["a"])


def test_standing_rows_that_break_a_new_rule_are_recalled_from_a_merge(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    making(recipe(shape=MERGE))
    put("bronze/events", rows(("c", 2, 11, 1), ("d", 2, 1, 1)), "month")
    made = making(recipe(LOW, shape=MERGE, code="2"))
    assert ids() == (["a", "d"], ["b", "c"])
    assert (made.inspected.rows_in, made.inspected.rows_out) == (3, 1)


def test_a_recalled_row_that_is_read_again_goes_to_the_quarantine_once(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    making(recipe(shape=MERGE))
    made = making(recipe(LOW, shape=MERGE, code="2"))
    assert ids() == (["a"], ["b"])
    assert (made.inspected.rows_in, made.inspected.rows_out) == (2, 1)


def test_a_marker_that_breaks_a_later_rule_stays_in_force(put: Any, making: Making, ids: Any) -> None:
    shape = replace(MERGE, delete_when="value = 10")
    put("bronze/events", rows(("a", 1, 1, 1), ("a", 2, 10, 1), ("b", 1, 1, 1)), "month")
    making(recipe(shape=shape))
    making(recipe(LOW, shape=shape, code="2"))
    assert ids() == (["b"], ["a"])


def test_a_merge_with_a_quarantine_reads_the_whole_and_keeps_both_right(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    making(recipe(LOW, shape=MERGE))
    put("bronze/events", rows(("a", 2, 10, 1), ("b", 2, 2, 1), ("c", 2, 3, 1)), "month")
    made = making(recipe(LOW, shape=MERGE))
    # a stays as it was, b is good by now, and nothing of the first report is left in the quarantine
    assert ids() == (["a", "b", "c"], ["a"])
    assert made.reading.how == "full, because its quarantine is made whole"


def test_of_recalled_rows_those_stay_away_of_which_an_incoming_one_takes_the_place(
    put: Any, making: Making, ids: Any, lakehouse: EmbeddedLakehouse
) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 12, 1), ("c", 1, 3, 1)), "month")
    making(recipe(shape=MERGE))
    put("bronze/events", rows(("a", 1, 5, 1), ("c", 0, 4, 1)), "month")
    making(recipe(LOW, shape=MERGE))
    assert ids() == (["a", "c"], ["b"])
    found = delta.read_rows(delta.existing(lakehouse.table(KEY))).sort_by("id")["value"].to_pylist()
    assert found == [5, 3]


def test_a_rule_that_fails_leaves_everything_as_it_was(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse, ids: Any
) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    making(recipe(LOW))
    before = present(lakehouse.table(KEY)), present(lakehouse.table(APART))
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1), (None, 1, 12, 1), (None, 2, 3, 1)), "month")
    shape = Shape(partition="month")
    with pytest.raises(BrokenRulesError, match=r"named, 2 times: id is NULL \(id=NULL; id=NULL\)") as broken:
        making(recipe(LOW, Rule("named", "not_null", column="id"), shape=shape, code="2"))
    assert [(it.rule.name, it.broken) for it in broken.value.outcomes] == [("low", 1), ("named", 2)]
    assert (present(lakehouse.table(KEY)), present(lakehouse.table(APART))) == before
    assert ids() == (["a"], ["b"])


def test_a_query_that_does_not_run_leaves_nothing_aside(put: Any, making: Making, lakehouse: EmbeddedLakehouse) -> None:
    put("bronze/events", rows(("x", 1, 10, 1)), "month")
    query = "SELECT id, known, CAST(id AS BIGINT) AS value, month FROM bronze.events"
    with pytest.raises(ServiceError, match="does not run"):
        making(recipe(LOW, query=query))
    assert not Path(lakehouse.files("platform/sifted").uri).exists() or not any(
        Path(lakehouse.files("platform/sifted").uri).iterdir()
    )


def test_a_function_is_sifted_as_a_query_is(put: Any, making: Making, ids: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)))
    of = recipe(LOW, query=None, transform=lambda frames: frames["events"], shape=Shape())
    make(of, [""], EVERY, lakehouse, EmbeddedCompute(threads=1))
    assert ids() == (["a"], ["b"])


def test_the_offset_of_a_landed_row_goes_with_it_and_not_into_the_table(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse
) -> None:
    landed = rows(("a", 1, 1, 1), ("b", 1, 10, 1), ("b", 1, 10, 1))
    landed = landed.append_column("_source_file", pa.array(["f.csv", "g.csv", "f.csv"]))
    put("bronze/events", landed.append_column("_source_offset", pa.array([0, 1, 7])), "month")
    made = making(recipe(LOW, query="SELECT id, known, value, month FROM bronze.events AS e WHERE known > 0"))
    assert made.snapshot.schema.names == ["id", "known", "value", "month"]
    apart = delta.read_rows(delta.existing(lakehouse.table(APART))).to_pylist()
    assert [(row["source_file"], row["source_offset"]) for row in apart] == [("f.csv", 7)]


def test_whoever_is_stopped_between_the_two_commits_is_made_right_by_the_next_run(
    put: Any, making: Making, ids: Any, lakehouse: EmbeddedLakehouse, tmp_path: Path
) -> None:
    # given a table, and a process that is killed once the quarantine stands and before the table does
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    making(recipe(LOW))
    put("bronze/events", rows(("a", 2, 10, 1), ("b", 2, 1, 1)), "month")
    program = dedent(
        f"""
        import os
        from ml_platform.engine import delta
        from ml_platform.engine.expectations import Expectations
        from ml_platform.engine.plan import Shape
        from ml_platform.engine.recipe import Recipe
        from ml_platform.engine.tables import make
        from ml_platform.records.expectation import Rule
        from resources.embedded.compute import EmbeddedCompute
        from resources.embedded.lakehouse import EmbeddedLakehouse

        whole = delta.commit
        delta.commit = lambda staged, **more: (
            os._exit(9) if staged.location.key == "{KEY}" else whole(staged, **more)
        )
        rule = Rule("low", "between", "quarantine", column="value", high=9)
        of = Recipe("{KEY}", ("bronze/events",), Shape(key=("id",), partition="month"), "1",
                    query="SELECT * FROM bronze.events", expects=Expectations((rule,)))
        make(of, {EVERY}, {EVERY}, EmbeddedLakehouse({str(tmp_path / "lakehouse")!r}), EmbeddedCompute(threads=1))
        """
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    assert ids() == (["a"], ["a"])
    version = delta.existing(lakehouse.table(APART)).version
    # when it is made again, then both are right, and the quarantine's rows were not written a second time
    making(recipe(LOW))
    assert ids() == (["b"], ["a"])
    assert delta.existing(lakehouse.table(APART)).version == version
    assert making(recipe(LOW)).commit.unchanged


def test_a_quarantine_that_was_lost_is_made_again(
    put: Any, making: Making, ids: Any, lakehouse: EmbeddedLakehouse
) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    making(recipe(LOW))
    for path in sorted(Path(lakehouse.table(APART).uri).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    making(recipe(LOW))
    assert ids() == (["a"], ["b"])


def test_another_writer_between_the_two_commits_is_no_harm(
    put: Any, making: Making, ids: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    whole, failed = delta.commit, []

    def disputed(staged: Any, **more: Any) -> Any:
        if staged.location.key == KEY and not failed:
            failed.append(staged)
            raise ConflictError("silver/events was committed to by somebody else, but this builds on what stood")
        return whole(staged, **more)

    monkeypatch.setattr(delta, "commit", disputed)
    making(recipe(LOW))
    assert failed
    assert ids() == (["a"], ["b"])


def test_a_lost_row_commits_nothing(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("bronze/events", rows(("a", 1, 1, 1), ("b", 1, 10, 1)), "month")
    whole = EmbeddedCompute.stage

    def losing(self: EmbeddedCompute, query: str, inputs: Any, target: Any, by: Collection[str]) -> Any:
        lost = f"SELECT * FROM ({query}) WHERE id <> 'a'" if target.uri == lakehouse.table(KEY).uri else query
        return whole(self, lost, inputs, target, tuple(by))

    monkeypatch.setattr(EmbeddedCompute, "stage", losing)
    with pytest.raises(AssertionError, match="2 rows in, 1 quarantined and 0 staged"):
        making(recipe(LOW))
    assert not present(lakehouse.table(KEY))
    assert not present(lakehouse.table(APART))
