from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta, delta_log, incremental
from ml_platform.engine.maintenance import maintain
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.restore import restore
from ml_platform.engine.staging import GRACE_SECONDS, stage
from ml_platform.engine.tables import Made, make
from ml_platform.errors import ServiceError
from ml_platform.records.upkeep import Upkeep
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


def restored(feed: Feed, key: str, version: int) -> None:
    restore(key, version, "it was wrong", feed.lakehouse)


def test_append_refuses_to_go_on_where_a_restore_took_back_what_it_has(feed: Feed) -> None:
    # given an append that has read what a restore of its input then takes back
    feed.make(APPEND)
    feed.land("bronze/x", 1, 3)
    feed.make(APPEND)
    restored(feed, "bronze/x", 1)
    # when what was taken back comes again, in other files
    feed.number -= 3
    feed.land("bronze/x", 1, 2)
    feed.land("bronze/x", 1, 1)
    with pytest.raises(ServiceError, match=r"a restore of bronze/x took back rows .*Restore silver/x too"):
        feed.make(APPEND)
    assert feed.ids() == list(range(10, 33))
    # then a partition that was not restored goes on, and the other does once the table went back too
    feed.land("bronze/x", 2, 1)
    feed.make(APPEND, months=MONTHS[1:])
    assert feed.ids() == list(range(10, 34))
    restored(feed, "silver/x", 0)
    feed.make(APPEND)
    assert feed.ids() == list(range(10, 34))


@pytest.mark.parametrize("compacted", [False, True], ids=["as it was", "compacted"])
def test_append_goes_on_behind_a_restore_to_what_it_has_read(feed: Feed, *, compacted: bool) -> None:
    # given an input that went back to the version that the append has read
    feed.make(APPEND)
    if compacted:
        feed.land("bronze/x", 1, 1)
        feed.make(APPEND)
    seen = delta.existing(feed.lakehouse.table("bronze/x")).version
    if compacted:
        maintain(Upkeep("bronze/x", 30), feed.lakehouse, feed.compute, [])
    feed.land("bronze/x", 1, 2)
    restored(feed, "bronze/x", seen)
    feed.make(APPEND)
    # then what comes behind it is appended, and nothing else
    before = feed.ids()
    feed.land("bronze/x", 1, 3)
    feed.make(APPEND)
    assert feed.ids() == [*before, *range(feed.number - 3, feed.number)]


def test_append_does_not_mind_a_restore_that_was_undone(feed: Feed) -> None:
    feed.land("bronze/x", 1, 1)
    feed.make(APPEND)
    restored(feed, "bronze/x", 1)
    restored(feed, "bronze/x", 2)
    feed.land("bronze/x", 1, 1)
    feed.make(APPEND)
    assert feed.ids() == list(range(10, 32))


def test_rows_that_were_replaced_and_stand_again_are_not_appended_again(feed: Feed) -> None:
    feed.make(APPEND)
    feed.land("bronze/x", 1, instead=True)
    feed.number = 10
    feed.land("bronze/x", 1, instead=True)
    feed.number = 40
    feed.land("bronze/x", 1, 1)
    feed.make(APPEND)
    assert feed.ids() == [*range(10, 30), 40]


def replace_rows(feed: Feed, key: str, ids: list[int], month: int, was: list[int]) -> None:
    """The month's rows are these, in one new file, as a merge or an overwrite leaves them."""
    location = feed.lakehouse.table(key)
    before = delta.existing(location)
    batch = pa.table({"id": ids, "month": [MONTHS[month - 1]] * len(ids)})
    staged = stage(batch.to_batches(), batch.schema, location, ("month",))
    standing = delta.restrict(before, "month", [MONTHS[month - 1]])
    assert sorted(delta.read_rows(standing)["id"].to_pylist()) == was
    delta.commit(staged, read=before, replaced=standing.files, transactions={}, evidence={})


def test_rows_that_stand_in_a_new_file_as_they_stood_in_the_old_one_are_not_appended_again(feed: Feed) -> None:
    feed.make(APPEND)
    # when a file takes the place of another: two rows are gone, one is there twice, and one is new
    replace_rows(feed, "bronze/x", [*range(12, 20), 19, 40], 1, [*range(10, 20)])
    made = feed.make(APPEND)
    assert feed.ids() == sorted([*range(10, 30), 19, 40])
    assert (made.reading.how, made.reading.rows) == ("incremental", 10 + 10)
    assert feed.make(APPEND).commit.unchanged
    # and one that holds nothing new adds nothing, and is not looked at again
    replace_rows(feed, "bronze/x", [12, 13], 1, sorted([*range(12, 20), 19, 40]))
    feed.make(APPEND)
    assert feed.ids() == sorted([*range(10, 30), 19, 40])
    assert feed.make(APPEND).commit.unchanged


def test_files_whose_rows_were_replaced_stay_for_an_append_that_has_yet_to_read(feed: Feed) -> None:
    feed.make(APPEND)
    replace_rows(feed, "bronze/x", [*range(10, 20), 40], 1, [*range(10, 20)])
    swept(feed)
    feed.make(APPEND)
    assert feed.ids() == [*range(10, 30), 40]


def swept(feed: Feed) -> None:
    """Maintenance a day and a minute from now, with no retention beyond that."""
    later = time.time() + GRACE_SECONDS + 60
    maintain(Upkeep("bronze/x", 0), feed.lakehouse, feed.compute, [], readers=["silver/x", "gold/none"], now=later)


@pytest.mark.parametrize("months", [MONTHS, MONTHS[1:]], ids=["all partitions", "one partition"])
def test_what_an_append_has_yet_to_read_outlives_any_retention(feed: Feed, months: list[str]) -> None:
    # given an append behind its input, in all partitions or in January alone
    feed.make(APPEND)
    for _ in range(11):
        feed.land("bronze/x", 1, 1)
        feed.land("bronze/x", 2, 1)
    if months != MONTHS:
        feed.make(APPEND, months=months)
    # when the input is compacted, and swept when all that is past its retention
    swept(feed)
    swept(feed)
    assert len(delta.existing(feed.lakehouse.table("bronze/x")).files) == 2
    # then it reads on where it stood
    made = feed.make(APPEND)
    assert made.reading.how == "incremental"
    assert feed.ids() == list(range(10, feed.number))
    # and lets go of what it has read by then
    before = len(list(Path(feed.lakehouse.table("bronze/x").uri).rglob("*.parquet")))
    swept(feed)
    assert len(list(Path(feed.lakehouse.table("bronze/x").uri).rglob("*.parquet"))) < before


def test_partition_that_rests_holds_up_no_maintenance_and_is_read_on_from_where_that_left_the_log(feed: Feed) -> None:
    # given an append of which January has long been read, and February goes on
    feed.make(APPEND)
    for _ in range(12):
        feed.land("bronze/x", 2, 1)
        feed.make(APPEND, months=MONTHS[1:])
    location = feed.lakehouse.table("bronze/x")
    swept(feed)
    feed.land("bronze/x", 2, 1)
    feed.make(APPEND, months=MONTHS[1:])
    swept(feed)
    assert not (Path(location.uri) / "_delta_log" / f"{2:020}.json").exists()
    # when a row of January comes after all
    feed.land("bronze/x", 1, 1)
    # then it alone is read
    assert feed.make(APPEND).reading.how == "incremental"
    assert feed.ids() == list(range(10, feed.number))


def test_table_that_keeps_what_it_has_by_key_reads_all_where_the_log_was_cleared_away(feed: Feed) -> None:
    feed.make()
    for _ in range(12):
        feed.land("bronze/x", 1, 1)
    swept(feed)
    swept(feed)
    assert incremental.waits_from(feed.lakehouse.table("bronze/x"), feed.lakehouse.table("silver/x")) is None
    assert feed.make().reading.how.startswith("full, because version 1 of bronze/x cannot be read any more")
    assert feed.ids() == list(range(10, feed.number))


def test_how_far_a_table_has_read_is_known_by_the_id_of_what_it_reads(feed: Feed) -> None:
    feed.make(APPEND)
    read, reader = feed.lakehouse.table("bronze/x"), feed.lakehouse.table("silver/x")
    table = delta_log.opened(read)
    assert table is not None
    assert incremental.settled_name(str(table.metadata().id)) == f"settled:{table.metadata().id}"
    assert incremental.waits_from(read, reader) == 1
    assert incremental.waits_from(feed.lakehouse.table("bronze/none"), reader) is None
