from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import Made, make
from ml_platform.errors import AuditError
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

SHAPE = Shape(key=("id",), write="history", newest="moment", delete_when="city = 'gone'")
Row = tuple[Any, int | None, str | None]


def day(number: int | None) -> datetime | None:
    return None if number is None else datetime(2013, 1, number, tzinfo=UTC)


class Feed:
    """An append-only input and the history of it."""

    def __init__(self, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> None:
        self.lakehouse = lakehouse
        self.compute = compute
        self.query = "SELECT id, moment, city FROM bronze.x"

    def land(self, *rows: Row) -> None:
        location = self.lakehouse.table("bronze/x")
        before = delta.snapshot(location)
        batch = pa.table(
            {
                "id": pa.array([row[0] for row in rows], pa.string()),
                "moment": pa.array([day(row[1]) for row in rows], pa.timestamp("us", "UTC")),
                "city": pa.array([row[2] for row in rows], pa.string()),
                "batch": [before.version + 1 if before else 0] * len(rows),
            }
        )
        staged = stage(batch.to_batches(), batch.schema, location)
        delta.commit(staged, read=before, replaced=(), transactions={}, evidence={})

    def make(self, code: str = "1") -> Made:
        recipe = Recipe("silver/x", ("bronze/x",), SHAPE, code, self.query)
        return make(recipe, [""], [""], self.lakehouse, self.compute)

    def intervals(self) -> list[tuple[Any, ...]]:
        """key, city, first day, day after the last, whether it is current."""
        rows = delta.read_rows(delta.existing(self.lakehouse.table("silver/x"))).to_pylist()
        found = [
            (r["id"], r["city"], r["valid_from"].day, r["valid_to"] and r["valid_to"].day, r["is_current"])
            for r in rows
        ]
        return sorted(found, key=lambda row: (row[0], row[2]))


@pytest.fixture
def feed(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Feed:
    return Feed(lakehouse, compute)


def test_each_version_holds_until_the_next(feed: Feed) -> None:
    feed.land(("a", 1, "Rome"), ("b", 2, "Bonn"))
    feed.make()
    feed.land(("a", 5, "Oslo"))
    feed.make()
    assert feed.intervals() == [("a", "Rome", 1, 5, False), ("a", "Oslo", 5, None, True), ("b", "Bonn", 2, None, True)]


def test_equal_versions_that_follow_each_other_are_one(feed: Feed) -> None:
    feed.land(("a", 1, "Rome"), ("a", 2, None), ("a", 3, None))
    feed.make()
    feed.land(("a", 4, None), ("a", 5, "Rome"))
    feed.make()
    assert feed.intervals() == [("a", "Rome", 1, 2, False), ("a", None, 2, 5, False), ("a", "Rome", 5, None, True)]


def test_late_row_splits_the_interval_that_it_falls_into(feed: Feed) -> None:
    feed.land(("a", 1, "Rome"), ("a", 5, "Rome"), ("a", 9, "Rome"))
    feed.make()
    assert feed.intervals() == [("a", "Rome", 1, None, True)]
    feed.land(("a", 3, "Oslo"))
    feed.make()
    # by hand: Rome was observed again on the 5th
    assert feed.intervals() == [("a", "Rome", 1, 3, False), ("a", "Oslo", 3, 5, False), ("a", "Rome", 5, None, True)]


def test_delete_marker_ends_an_interval_and_a_later_row_opens_the_next(feed: Feed) -> None:
    feed.land(("a", 1, "Rome"), ("a", 4, "gone"))
    feed.make()
    assert feed.intervals() == [("a", "Rome", 1, 4, False)]
    feed.land(("a", 8, "Rome"))
    feed.make()
    assert feed.intervals() == [("a", "Rome", 1, 4, False), ("a", "Rome", 8, None, True)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_any_order_of_arrival_comes_to_the_same(feed: Feed, order: tuple[int, ...]) -> None:
    batches: list[list[Row]] = [
        [("a", 1, "Rome"), ("a", 5, "Rome")],
        [("a", 7, "gone"), ("a", 10, "gone"), ("b", 3, "gone")],
        [("a", 3, "Oslo"), ("b", 1, "Bonn")],
        [("a", 9, "Oslo"), ("a", 6, "Rome")],
    ]
    for number in order:
        feed.land(*batches[number])
        feed.make()
    assert feed.intervals() == [
        ("a", "Rome", 1, 3, False),
        ("a", "Oslo", 3, 5, False),
        ("a", "Rome", 5, 7, False),
        ("a", "Oslo", 9, 10, False),
        ("b", "Bonn", 1, 3, False),
    ]


def test_only_files_that_hold_a_changed_key_are_rewritten_and_other_keys_stay(feed: Feed) -> None:
    for letter in "abc":
        feed.land((letter, 1, "Rome"), (f"{letter}z", 1, "Bonn"))
        before = feed.make()
    feed.land(("b", 2, "Oslo"))
    made = feed.make()
    paths = [{file.path for file in of.snapshot.files} for of in (before, made)]
    assert (len(paths[0]), len(paths[0] & paths[1])) == (3, 2)
    assert len(feed.intervals()) == 7
    assert (made.reading.rows, made.reading.how) == (1, "incremental")


def test_the_same_rows_again_change_nothing(feed: Feed) -> None:
    feed.land(("a", 1, "Rome"), ("a", 2, "Rome"), ("a", 5, "gone"))
    first = feed.make()
    feed.land(("a", 2, "Rome"), ("a", 5, "gone"))
    assert feed.make().commit.unchanged
    assert feed.make(code="2").commit.unchanged
    assert {file.path for file in feed.make().snapshot.files} == {file.path for file in first.snapshot.files}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((None, 2, "x"), "a key is never NULL"),
        (("a", None, "x"), "a key is never NULL"),
        (("a", 1, "Oslo"), "two different rows cannot share a key and its moment"),
        (("a", 2, "Oslo"), "two different rows cannot share a key and its moment"),
    ],
    ids=["key", "moment", "tie with a version", "tie with what was observed again"],
)
def test_what_cannot_be_told_apart_is_refused(feed: Feed, row: Row, said: str) -> None:
    feed.land(("a", 1, "Rome"), ("a", 2, "Rome"))
    feed.make()
    feed.land(row)
    with pytest.raises(AuditError, match=said):
        feed.make()
    assert feed.intervals() == [("a", "Rome", 1, None, True)]


def test_column_that_a_history_makes_by_itself_is_refused(feed: Feed) -> None:
    feed.land(("a", 1, "Rome"))
    feed.query = "SELECT id, moment, city, 1 AS valid_to FROM bronze.x"
    with pytest.raises(AuditError, match="selects valid_to, but a history makes these columns"):
        feed.make()
