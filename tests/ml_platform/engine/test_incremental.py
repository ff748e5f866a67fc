from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import Made, make
from ml_platform.errors import ServiceError
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

MONTHS = ["2013-01", "2013-02"]
MERGE = Shape(key=("id",), partition="month", write="merge", newest="id")
APPEND = Shape(partition="month", write="append")
QUERY = "SELECT e.id, e.month FROM bronze.x AS e LEFT JOIN bronze.y AS y ON y.id = e.id"


class Feed:
    def __init__(self, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> None:
        self.lakehouse = lakehouse
        self.compute = compute
        self.number = 0
        self.land("bronze/y", 1)

    def land(self, key: str, month: int, rows: int = 10, *, instead: bool = False) -> None:
        """So many rows of a month with keys that were never there; instead: of those that are."""
        location = self.lakehouse.table(key)
        before = delta.snapshot(location)
        ids = list(range(self.number, self.number + rows))
        self.number += rows
        batch = pa.table({"id": ids, "month": [MONTHS[month - 1]] * rows})
        staged = stage(batch.to_batches(), batch.schema, location, ("month",))
        replaced = delta.restrict(before, "month", [MONTHS[month - 1]]).files if before and instead else ()
        delta.commit(staged, read=before, replaced=replaced, transactions={}, evidence={})

    def make(self, shape: Shape = MERGE, code: str = "1", query: str = QUERY, months: Any = MONTHS) -> Made:
        recipe = Recipe("silver/x", ("bronze/x", "bronze/y"), shape, code, query)
        return make(recipe, months, MONTHS, self.lakehouse, self.compute)

    def ids(self) -> list[int]:
        found: list[int] = delta.read_rows(delta.existing(self.lakehouse.table("silver/x")))["id"].to_pylist()
        return sorted(found)


@pytest.fixture
def feed(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Feed:
    made = Feed(lakehouse, compute)
    made.land("bronze/x", 1)
    made.land("bronze/x", 2)
    return made


@pytest.mark.parametrize("shape", [MERGE, APPEND], ids=["merge", "append"])
def test_only_rows_that_came_since_are_read(feed: Feed, shape: Shape) -> None:
    assert feed.make(shape).reading.how == "full, because bronze/x was not read before"
    feed.land("bronze/x", 2, 3)
    made = feed.make(shape)
    # 3 rows that came, and the 10 of the table that is looked up in, of which January's are not February's
    assert (made.reading.how, made.reading.rows, made.reading.offered) == ("incremental", 3, 33)
    assert made.remade == ("2013-02",)
    assert feed.ids() == list(range(10, 33))
    assert feed.make(shape).reading.rows == 0


def test_partition_that_was_not_selected_is_read_from_where_it_stands(feed: Feed) -> None:
    feed.make()
    feed.land("bronze/x", 1, 2)
    feed.land("bronze/x", 2, 3)
    assert feed.make(months=MONTHS[1:]).reading.rows == 3
    feed.land("bronze/x", 1, 4)
    made = feed.make()
    # January looks up in the 10 rows of January
    assert (made.reading.how, made.reading.rows, made.remade) == ("incremental", 16, ("2013-01",))
    assert len(feed.ids()) == 29


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (lambda feed: feed.land("bronze/x", 1, instead=True), "rows of bronze/x were removed or replaced"),
        (lambda feed: feed.land("bronze/y", 1), "the code or another input is not what it was"),
        (lambda feed: lose(feed, "bronze/x"), "the log of bronze/x has lost commits since version 1"),
    ],
    ids=["removed", "other input", "log"],
)
def test_whole_partition_is_read_where_what_came_is_not_enough(feed: Feed, change: Any, because: str) -> None:
    feed.make()
    change(feed)
    made = feed.make()
    assert (made.reading.how, made.remade) == (f"full, because {because}", ("2013-01",))


def lose(feed: Feed, key: str) -> None:
    from deltalake import DeltaTable

    feed.land(key, 1)
    feed.land(key, 1)
    location = feed.lakehouse.table(key)
    DeltaTable(location.uri).create_checkpoint()
    (Path(location.uri) / "_delta_log" / f"{2:020}.json").unlink()


def test_changed_code_reads_everything(feed: Feed) -> None:
    feed.make()
    assert feed.make(code="2").reading.how == "full, because the code or another input is not what it was"


def test_query_that_is_not_row_wise_reads_everything_and_says_why(feed: Feed) -> None:
    query = "SELECT max(id) AS id, month FROM bronze.x GROUP BY month"
    feed.make(query=query)
    feed.land("bronze/x", 1)
    assert feed.make(query=query).reading.how == "full, because its query has GROUP"


def test_overwritten_table_reads_the_partitions_that_changed(feed: Feed) -> None:
    shape = Shape(key=("id",), partition="month")
    feed.make(shape)
    feed.land("bronze/x", 2, 3)
    made = feed.make(shape)
    assert (made.reading.how, made.reading.rows) == ("full, because what is overwritten is made whole", 13)


def test_appended_rows_stay_and_none_is_appended_twice(feed: Feed) -> None:
    feed.make(APPEND)
    feed.land("bronze/y", 1)
    assert feed.make(APPEND, code="2").commit.unchanged
    feed.land("bronze/x", 1, 5, instead=True)
    feed.make(APPEND, code="2")
    assert len(feed.ids()) == len(set(feed.ids())) == 25


def test_append_that_cannot_know_what_it_has_is_refused(feed: Feed) -> None:
    feed.make(APPEND)
    lose(feed, "bronze/x")
    before = feed.ids()
    with pytest.raises(ServiceError, match=r"silver/x appends what comes to bronze/x, but the log of .* has lost"):
        feed.make(APPEND)
    assert feed.ids() == before


def test_input_that_was_made_anew_under_its_name_is_read_whole(feed: Feed) -> None:
    import shutil

    feed.make()
    shutil.rmtree(feed.lakehouse.table("bronze/x").uri)
    for _ in range(3):
        feed.land("bronze/x", 1, 1)
    made = feed.make()
    assert made.reading.how == "full, because bronze/x was not read before"
    assert len(feed.ids()) == 23
