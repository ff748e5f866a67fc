from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.deleted import SUFFIX
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import Made, make
from ml_platform.errors import AuditError
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

SHAPE = Shape(key=("id",), write="merge", newest="moment", delete_when="v = 'gone'")
QUERY = "SELECT * FROM bronze.x"
Row = tuple[Any, int | None, str]


def table(*rows: Row) -> pa.Table:
    kinds = {"id": pa.int64(), "moment": pa.int64(), "v": pa.string()}
    columns = zip(*rows, strict=True)
    return pa.table({n: pa.array(list(c), k) for (n, k), c in zip(kinds.items(), columns, strict=True)})


class Feed:
    """An append-only input and the table that merges it."""

    def __init__(self, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> None:
        self.lakehouse = lakehouse
        self.compute = compute
        self.shape = SHAPE
        self.code = "1"

    def land(self, *rows: Row) -> None:
        location = self.lakehouse.table("bronze/x")
        before = delta.snapshot(location)
        number = 0 if before is None else before.version + 1
        batch = table(*rows).append_column("batch", pa.array([number] * len(rows)))
        staged = stage(batch.to_batches(), batch.schema, location)
        delta.commit(staged, read=before, replaced=(), transactions={}, evidence={})

    def make(self) -> Made:
        query = "SELECT id, moment, v FROM bronze.x"
        recipe = Recipe("silver/x", ("bronze/x",), self.shape, self.code, query)
        return make(recipe, [""], [""], self.lakehouse, self.compute)

    def rows(self, key: str = "silver/x") -> list[tuple[Any, ...]]:
        rows = delta.read_rows(delta.existing(self.lakehouse.table(key)))
        return sorted((tuple(row.values()) for row in rows.to_pylist()), key=str)


@pytest.fixture
def feed(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Feed:
    return Feed(lakehouse, compute)


def paths(made: Made) -> set[str]:
    return {file.path for file in made.snapshot.files}


def test_only_files_that_hold_a_changed_key_are_rewritten(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a table of three files with keys of their own
    for first in (0, 1_000, 2_000):
        feed.land(*((first + n, 1, "x") for n in range(100)))
        before = feed.make()
    assert len(before.snapshot.files) == 3
    # when a key of the second changes, and one comes that none has
    feed.land((1_050, 2, "new"), (5_000, 1, "more"))
    made = feed.make()
    # then two files stand as they stood
    assert len(paths(before) & paths(made)) == 2
    assert (made.commit.rows_removed, made.commit.rows_added) == (100, 101)
    assert (1_050, 2, "new") in feed.rows()
    assert len(feed.rows()) == 301


def test_of_overlapping_files_only_those_that_hold_the_key_are_rewritten(feed: Feed) -> None:
    feed.land(*((n, 1, "x") for n in range(0, 100, 2)))
    feed.make()
    feed.land(*((n, 1, "x") for n in range(1, 100, 2)))
    before = feed.make()
    feed.land((7, 2, "new"))
    made = feed.make()
    assert len(paths(before) & paths(made)) == 1
    assert made.commit.rows_removed == 50


def test_a_key_that_nothing_holds_rewrites_nothing(feed: Feed) -> None:
    feed.land((1, 1, "x"))
    before = feed.make()
    feed.land((2, 1, "x"))
    made = feed.make()
    assert paths(before) < paths(made)
    assert made.commit.rows_removed == 0


def test_files_go_on_to_hold_keys_of_their_own_range(feed: Feed) -> None:
    for first in (0, 1_000):
        feed.land(*((first + n, 1, "x") for n in range(0, 100, 2)))
        feed.make()
    feed.land((11, 1, "between"), (1_011, 1, "between"), (10, 2, "new"), (1_010, 2, "new"))
    made = feed.make()
    keys = delta.read_rows(made.snapshot)["id"].to_pylist()
    assert [key < 1_000 for key in keys] == [True] * 51 + [False] * 51


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_any_order_of_arrival_comes_to_the_same_deletions_included(feed: Feed, order: tuple[int, ...]) -> None:
    batches: list[list[Row]] = [
        [(1, 1, "one"), (2, 1, "kept")],
        [(1, 3, "gone"), (3, 2, "gone")],
        [(1, 2, "two"), (3, 1, "too old")],
        [(4, 5, "gone"), (4, 6, "back")],
    ]
    for number in order:
        feed.land(*batches[number])
        feed.make()
    assert feed.rows() == [(2, 1, "kept"), (4, 6, "back")]


def test_deleted_key_comes_back_with_a_newer_row_only(feed: Feed) -> None:
    feed.land((1, 5, "gone"))
    feed.make()
    feed.land((1, 5, "same moment"))
    assert feed.make().commit.unchanged
    feed.land((1, 6, "newer"))
    feed.make()
    assert feed.rows() == [(1, 6, "newer")]
    assert feed.rows(f"silver/x{SUFFIX}") == [(1, 5)]


def test_the_same_rows_again_change_nothing(feed: Feed) -> None:
    feed.land((1, 1, "x"), (2, 2, "gone"), (3, 1, "y"))
    first = feed.make()
    feed.land((1, 1, "x"), (2, 2, "gone"))
    again = feed.make()
    assert again.commit.unchanged
    assert again.remade == ("",)
    assert paths(again) == paths(first)
    feed.code = "2"
    assert feed.make().commit.unchanged


@pytest.mark.parametrize(
    ("row", "said"),
    [((None, 1, "x"), "a key is never NULL"), ((1, 5, "y"), "two different rows cannot share a key and its moment")],
)
def test_what_a_key_cannot_be_is_refused_though_it_comes_alone(feed: Feed, row: Row, said: str) -> None:
    feed.land((1, 5, "x"))
    feed.make()
    feed.land(row)
    with pytest.raises(AuditError, match=said):
        feed.make()
    assert feed.rows() == [(1, 5, "x")]


def test_incoming_rows_of_one_key_and_moment_are_refused(feed: Feed) -> None:
    feed.land((1, 5, "x"), (1, 5, "y"))
    with pytest.raises(AuditError, match="two different rows cannot share a key"):
        feed.make()


def test_a_row_of_unknown_age_is_older_than_any(feed: Feed) -> None:
    feed.land((1, 1, "x"))
    feed.make()
    feed.land((1, None, "y"), (2, None, "first"))
    feed.make()
    feed.land((2, 0, "known"))
    feed.make()
    assert feed.rows() == [(1, 1, "x"), (2, 0, "known")]


def test_a_column_that_changes_its_type_rewrites_every_file(feed: Feed) -> None:
    for key in (1, 2):
        feed.land((key, 1, "x"))
        feed.make()
    recipe = Recipe(
        "silver/x", ("bronze/x",), feed.shape, "2", "SELECT id, moment, v, 1.5 AS w FROM bronze.x WHERE id = 1"
    )
    make(recipe, [""], [""], feed.lakehouse, feed.compute)
    wider = replace(recipe, code="3", query="SELECT id, moment, v FROM bronze.x WHERE id = 1")
    made = make(wider, [""], [""], feed.lakehouse, feed.compute)
    assert made.snapshot.schema.names == ["id", "moment", "v"]
    assert feed.rows() == [(1, 1, "x"), (2, 1, "x")]


def test_a_key_that_changes_its_type_still_finds_its_row(feed: Feed) -> None:
    """As texts, 10 comes before 9."""
    for key in (9, 10, 11):
        feed.land((key, 1, "x"))
        feed.make()
    assert len(delta.existing(feed.lakehouse.table("silver/x")).files) == 3
    query = "SELECT CAST(id AS VARCHAR) AS id, moment + 1 AS moment, 'y' AS v FROM bronze.x WHERE id > 9"
    made = make(Recipe("silver/x", ("bronze/x",), feed.shape, "2", query), [""], [""], feed.lakehouse, feed.compute)
    assert made.snapshot.rows == 3
    assert feed.rows() == [("10", 2, "y"), ("11", 2, "y"), ("9", 1, "x")]


def test_agrees_with_a_merge_in_memory(feed: Feed) -> None:
    # given 40 batches of few keys, in no order
    state = 1
    newest: dict[int, Row] = {}
    for _ in range(40):
        batch: dict[int, Row] = {}
        for _ in range(10):
            state = state * 1_103_515_245 + 12_345 & 0x7FFFFFFF
            key, at = state >> 8 & 31, state >> 14 & 1_023
            batch[key] = (key, at, "gone" if state >> 3 & 7 == 0 else f"{key} at {at}")
        feed.land(*batch.values())
        feed.make()
        for row in batch.values():
            known = newest.get(row[0])
            if known is None or (row[1], row[2] == "gone") >= (known[1], known[2] == "gone"):  # type: ignore[operator]
                newest[row[0]] = row
    assert feed.rows() == sorted((row for row in newest.values() if row[2] != "gone"), key=str)
