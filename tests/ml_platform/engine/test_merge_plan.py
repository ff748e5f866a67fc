from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ml_platform.engine import merge_plan
from ml_platform.engine.plan import Shape

SHAPE = Shape(key=("id",), write="merge", newest="moment", delete_when="v = 'gone'")
NAMES = ["id", "moment", "v"]


def table(*rows: tuple[Any, ...]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    kinds = (pa.string(), pa.int64(), pa.string())
    return pa.table({n: pa.array(list(c), k) for n, c, k in zip(NAMES, columns, kinds, strict=True)})


def run(query: str, **tables: pa.Table) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        for name, rows in tables.items():
            connection.execute(f"CREATE SCHEMA {name}")
            connection.register("given", rows)
            connection.execute(f"CREATE TABLE {name}.rows AS SELECT * FROM given")
        found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
        return found


@pytest.mark.parametrize(
    ("rows", "stand"),
    [
        ([("a", 1, "x"), ("a", 2, "y")], {("a", 2, "y")}),
        ([("a", None, "x"), ("a", 1, "y")], {("a", 1, "y")}),
        ([("a", 1, "x"), ("a", 1, "x")], {("a", 1, "x")}),
        ([("a", 1, "x"), ("a", 1, "y")], {("a", 1, "x"), ("a", 1, "y")}),
        ([("a", 1, "x"), ("a", 1, "gone")], {("a", 1, "gone")}),
    ],
    ids=["newest", "null is oldest", "equal", "tie", "marker wins a tie"],
)
def test_newest_row_of_a_key_is_what_comes(rows: list[tuple[Any, ...]], stand: set[tuple[Any, ...]]) -> None:
    assert set(run(merge_plan.newest(SHAPE, NAMES), incoming=table(*rows))) == stand


def test_rows_and_keys_are_counted_their_range_and_incomplete_keys_told() -> None:
    query = merge_plan.counted(SHAPE, "id")
    assert run(query, incoming=table(("a", 1, "x"), ("a", 2, "x"), ("b", 1, "x"))) == [("", 3, False, "a", "b", 2)]
    assert run(query, incoming=table((None, 1, "x"))) == [("", 1, True, None, None, 1)]
    assert run(query, incoming=table()) == []


def test_keys_are_counted_over_partitions_and_ranges_told_of_each() -> None:
    shape = Shape(key=("moment", "id"), partition="id", write="merge")
    rows = table(("a", 1, "x"), ("a", 1, "y"), ("b", 1, "x"), ("b", 3, "x"))
    assert sorted(run(merge_plan.counted(shape, "moment"), incoming=rows)) == [
        ("a", 2, False, 1, 1, 3), ("b", 2, False, 1, 3, 3)
    ]  # fmt: skip


def test_row_that_is_older_than_its_deletion_does_not_come() -> None:
    deleted = pa.table({"id": ["a", "b", "c"], merge_plan.DELETED_AT: [5, 5, 5]})
    rows = table(("a", 4, "x"), ("b", 5, "x"), ("c", 6, "x"), ("a", 5, "gone"))
    found = run(merge_plan.alive(SHAPE), incoming=rows, deleted=deleted)
    assert set(found) == {("c", 6, "x"), ("a", 5, "gone")}


def test_collisions_tell_newer_and_tied_standing_rows() -> None:
    standing = table(("a", 1, "x"), ("b", 2, "x"), ("c", 3, "x"), ("d", 1, "x"), ("e", None, "x"))
    incoming = table(("a", 2, "y"), ("b", 2, "y"), ("c", 2, "y"), ("e", None, "y"))
    found = run(merge_plan.collisions(SHAPE, "0"), standing=standing, incoming=incoming)
    assert found == [("", 0, 4, 1, 2)]


@pytest.mark.parametrize("contested", [True, False])
def test_rows_stay_that_nothing_replaces_and_rows_come_that_belong_there(contested: bool) -> None:
    standing = table(("a", 1, "x"), ("b", 1, "x"), ("c", 9 if contested else 1, "x"), ("d", 1, "x"))
    incoming = table(("a", 2, "y"), ("b", 2, "gone"), ("c", 2, "y"), ("n", 1, "y"), ("z", 1, "elsewhere"))
    stays = merge_plan.staying(SHAPE, NAMES, "standing.rows", "i.id < 'y'", contested=contested)
    comes = merge_plan.coming(SHAPE, NAMES, "i.id < 'y'", contested=contested)
    kept = {("c", 9, "x"), ("d", 1, "x")} if contested else {("d", 1, "x")}
    new = [("a", 2, "y"), ("n", 1, "y")] if contested else [("a", 2, "y"), ("c", 2, "y"), ("n", 1, "y")]
    assert set(run(stays, standing=standing, incoming=incoming)) == kept
    assert run(comes, standing=standing, incoming=incoming) == new


def test_row_that_nothing_near_can_replace_stays() -> None:
    query = merge_plan.staying(SHAPE, NAMES, "standing.rows", "i.id > 'y'", contested=False)
    assert run(query, standing=table(("a", 1, "x")), incoming=table(("a", 2, "y"))) == [("a", 1, "x")]
