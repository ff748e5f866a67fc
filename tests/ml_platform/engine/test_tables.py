from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta, delta_log, tables
from ml_platform.engine.actions import Change
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import present, stage
from ml_platform.engine.tables import Made, make
from ml_platform.errors import AuditError, ConflictError, NotFoundError, ServiceError
from ml_platform.records.table import Location, StagedFiles
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

EVERY = ["2013-01", "2013-02", "2013-03", "2013-04"]
SHAPE = Shape(key=("id",), partition="month")
MERGE = Shape(key=("id",), partition="month", write="merge", newest="known")
QUERY = "SELECT * FROM bronze.events"

Making = Callable[..., Made]


def recipe(query: str | None = QUERY, shape: Shape = SHAPE, code: str = "1", **more: Any) -> Recipe:
    return Recipe(key="silver/events", inputs=("bronze/events",), shape=shape, code=code, query=query, **more)


def rows(*given: tuple[Any, ...]) -> pa.Table:
    """Rows of id, known, value and month; the month by its number."""
    kinds = {"id": pa.string(), "known": pa.int64(), "value": pa.string(), "month": pa.string()}
    columns = list(zip(*given, strict=True)) if given else [()] * 4
    columns[3] = tuple(month and f"2013-{month:02}" for month in columns[3])
    return pa.table({name: pa.array(list(c), kinds[name]) for name, c in zip(kinds, columns, strict=True)})


@pytest.fixture
def content(lakehouse: EmbeddedLakehouse) -> Callable[[], list[tuple[Any, ...]]]:
    def content() -> list[tuple[Any, ...]]:
        table = delta.read_rows(delta.existing(lakehouse.table("silver/events")), ["id", "known", "value", "month"])
        return sorted((tuple(row.values()) for row in table.to_pylist()), key=str)

    return content


def files(location: Location) -> set[str]:
    return {path for path in present(location) if not path.startswith("_delta_log/")}


def aside(lakehouse: EmbeddedLakehouse) -> list[Path]:
    return [path for path in Path(lakehouse.files("platform").uri).rglob("*") if path.is_file()]


def named(location: Location) -> set[str]:
    return {file.path for file in delta.existing(location).files}


def test_a_table_is_made_from_what_it_reads(put: Any, making: Making, content: Any) -> None:
    source = put("bronze/events", rows(("a", 1, "x", 1), ("b", 1, "y", 2)), "month")
    made = making(recipe())
    assert content() == [("a", 1, "x", "2013-01"), ("b", 1, "y", "2013-02")]
    assert (made.commit.rows_added, made.commit.partitions) == (2, ("2013-01", "2013-02"))
    assert made.remade == tuple(EVERY)
    assert [(one.key, one.version, one.fingerprint) for one in made.read] == [
        ("bronze/events", source.version, delta.fingerprint(source))
    ]


def test_nothing_is_made_where_nothing_changed(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    first = making(recipe())
    monkeypatch.setattr(EmbeddedCompute, "stage", lambda *_: pytest.fail("a query ran"))
    second = making(recipe())
    assert second.commit.unchanged
    assert second.remade == ()
    assert second.snapshot == first.snapshot


def test_a_changed_partition_remakes_only_itself(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(("a", 1, "x", 1), ("b", 1, "y", 2), ("c", 1, "z", 3)), "month")
    before = {file.partition["month"]: file.path for file in making(recipe()).snapshot.files}
    put("bronze/events", rows(("b", 2, "Y", 2)), "month")
    made = making(recipe())
    assert made.remade == ("2013-02",)
    assert made.commit.partitions == ("2013-02",)
    after = {file.partition["month"]: file.path for file in made.snapshot.files}
    assert {month for month in after if after[month] != before[month]} == {"2013-02"}
    assert content()[1] == ("b", 2, "Y", "2013-02")


@pytest.mark.parametrize(
    ("reads", "remade"),
    [((0, 0), [2]), ((1, 0), [2, 3]), ((0, 1), [1, 2]), ((1, 1), [1, 2, 3]), ((9, 9), [1, 2, 3, 4])],
)
def test_a_changed_partition_remakes_exactly_those_that_read_it(
    put: Any, making: Making, reads: tuple[int, int], remade: list[int]
) -> None:
    query = f"""SELECT month AS id, 1 AS known, CAST((SELECT sum(known) FROM bronze.events AS other
        WHERE abs(CAST(right(other.month, 2) AS INTEGER) - CAST(right(own.month, 2) AS INTEGER)) <= {max(reads)}
        ) AS VARCHAR) AS value, month FROM bronze.events AS own"""
    put("bronze/events", rows(*(("a", month, "x", month) for month in (1, 2, 3, 4))), "month")
    making(recipe(query, reads=reads))
    put("bronze/events", rows(("a", 200, "x", 2)), "month")
    assert making(recipe(query, reads=reads)).remade == tuple(f"2013-{month:02}" for month in remade)


def test_a_window_gives_each_partition_its_neighbours(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(*((f"{month}", 10**month, "x", month) for month in (1, 2, 3, 4))), "month")
    query = """SELECT own.month AS id, CAST(sum(other.known) AS BIGINT) AS known, '' AS value, own.month
        FROM bronze.events AS own JOIN bronze.events AS other
        ON other.month BETWEEN strftime(strptime(own.month, '%Y-%m') - INTERVAL 1 MONTH, '%Y-%m') AND own.month
        GROUP BY own.month"""
    making(recipe(query, reads=(1, 0)), 3)
    assert [row[1] for row in content()] == [1_100]
    making(recipe(query, reads=(1, 0)))
    assert [row[1] for row in content()] == [10, 110, 1_100, 11_000]


def test_only_selected_partitions_are_made(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(("a", 1, "x", 1), ("b", 1, "y", 2)), "month")
    made = making(recipe(), 2)
    assert [row[0] for row in content()] == ["b"]
    assert {file.partition["month"] for file in made.snapshot.files} == {"2013-02"}
    making(recipe(), 1)
    assert [row[0] for row in content()] == ["a", "b"]


def test_changed_code_remakes_everything(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(("a", 1, "x", 1), ("b", 1, "y", 2)), "month")
    making(recipe())
    made = making(recipe("SELECT * REPLACE (upper(value) AS value) FROM bronze.events", code="2"))
    assert made.remade == tuple(EVERY)
    assert [row[2] for row in content()] == ["X", "Y"]


def test_changed_code_that_gives_the_same_rows_is_noted_and_changes_no_file(put: Any, making: Making) -> None:
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    first = making(recipe())
    second = making(recipe(code="2"))
    assert second.commit.unchanged
    assert second.snapshot.files == first.snapshot.files
    assert making(recipe(code="2")).remade == ()


@pytest.mark.parametrize("python", [False, True], ids=["sql", "python"])
def test_an_emptied_partition_is_empty_afterwards(put: Any, making: Making, content: Any, python: bool) -> None:
    # given two partitions
    put("bronze/events", rows(("a", 1, "x", 1), ("b", 1, "x", 2)), "month")
    made_by = {"query": None, "transform": lambda frames: frames["events"]} if python else {}
    making(recipe(**made_by))
    # when nothing is left of one of them
    put("bronze/events", rows(("c", 1, "gone", 1)), "month")
    where = {"where": {"bronze/events": "value <> 'gone'"}} if python else {"query": f"{QUERY} WHERE value <> 'gone'"}
    made = making(recipe(**{**made_by, **where}), 1)
    # then it has no rows, and the other one stands
    assert content() == [("b", 1, "x", "2013-02")]
    assert (made.commit.rows_removed, made.commit.partitions, made.snapshot.rows) == (1, ("2013-01",), 0)


def test_a_table_may_have_no_rows_at_all(put: Any, making: Making) -> None:
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    made = making(recipe(f"{QUERY} WHERE false"))
    assert made.snapshot.rows == 0
    assert made.snapshot.schema.names == ["id", "known", "value", "month"]
    assert making(recipe(f"{QUERY} WHERE false")).commit.unchanged


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (rows(("a", 1, "x", 1), ("a", 1, "y", 1)), "two different rows cannot share a key"),
        (rows((None, 1, "x", 1)), "a key is never NULL"),
    ],
)
@pytest.mark.parametrize("shape", [SHAPE, MERGE], ids=["overwrite", "merge"])
def test_a_failed_audit_leaves_the_last_version_and_no_stray_file(
    put: Any, making: Making, content: Any, lakehouse: EmbeddedLakehouse, bad: pa.Table, said: str, shape: Shape
) -> None:
    location = lakehouse.table("silver/events")
    put("bronze/events", rows(("a", 1, "x", 1), ("b", 1, "x", 2)), "month")
    making(recipe(shape=shape))
    standing, before = content(), files(location)
    put("bronze/events", bad, "month")
    with pytest.raises(AuditError, match=said):
        making(recipe(shape=shape))
    assert content() == standing
    assert files(location) == before
    # and once the rows are mended, they are made
    put("bronze/events", rows(("a", 2, "mended", 1)), "month")
    assert making(recipe(shape=shape)).remade == ("2013-01",)


def test_a_failed_audit_keeps_the_files_that_an_older_version_is_made_of(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse
) -> None:
    # given a second version without the rows of the first
    location = lakehouse.table("silver/events")
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    making(recipe())
    put("bronze/events", rows(("b", 1, "x", 1)), "month")
    making(recipe())
    # when those rows come back beside rows that fail
    put("bronze/events", rows(("a", 1, "x", 1), ("c", 1, "x", 2), ("c", 2, "x", 2)), "month")
    with pytest.raises(AuditError):
        making(recipe())
    # then the first version is as readable as it was
    first = delta.snapshot(location, 0)
    assert first is not None
    assert delta.read_rows(first)["id"].to_pylist() == ["a"]


def test_a_query_that_does_not_run_leaves_the_table(
    put: Any, making: Making, content: Any, lakehouse: EmbeddedLakehouse
) -> None:
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    making(recipe())
    before = files(lakehouse.table("silver/events"))
    with pytest.raises(ServiceError, match="the query of silver/events does not run"):
        making(recipe("SELECT *, CAST(value AS INTEGER) AS number FROM bronze.events", code="2"))
    assert content() == [("a", 1, "x", "2013-01")]
    assert files(lakehouse.table("silver/events")) == before


def test_an_input_that_was_never_made_is_named(making: Making) -> None:
    with pytest.raises(NotFoundError, match="the table bronze/events is not there"):
        making(recipe())


def test_a_merge_keeps_what_does_not_come_again_and_lets_the_newest_win(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(("kept", 1, "first", 1), ("late", 5, "first", 1), ("new", 1, "first", 1)), "month")
    making(recipe(shape=MERGE))
    # the source now offers other rows: one is older than what stands, one newer, one ties
    put("bronze/events", rows(("late", 4, "older", 1), ("new", 2, "newer", 1), ("more", 1, "x", 1)), "month")
    making(recipe(shape=MERGE))
    put("bronze/events", rows(("new", 2, "tie", 1)), "month")
    making(recipe(shape=MERGE))
    assert content() == [
        ("kept", 1, "first", "2013-01"),
        ("late", 5, "first", "2013-01"),
        ("more", 1, "x", "2013-01"),
        ("new", 2, "tie", "2013-01"),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_merge_comes_to_the_same_in_any_order_of_arrival(
    put: Any, making: Making, content: Any, order: tuple[int, ...]
) -> None:
    batches = [rows(("a", 1, "one", 1)), rows(("a", 3, "three", 1)), rows(("a", 2, "two", 1), ("b", 1, "x", 1))]
    for number in order:
        put("bronze/events", batches[number], "month")
        making(recipe(shape=MERGE))
    assert content() == [("a", 3, "three", "2013-01"), ("b", 1, "x", "2013-01")]


def test_a_merge_collapses_equal_rows(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(("a", 1, "x", 1), ("a", 1, "x", 1)), "month")
    making(recipe(shape=MERGE))
    assert content() == [("a", 1, "x", "2013-01")]


def appending(frame: Callable[[], pa.Table], code: str = "1") -> Recipe:
    return recipe(None, Shape(partition="month", write="append"), code, transform=lambda frames: frame())


def test_an_append_adds_each_numbers_rows_once(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    first, second = (appending(lambda c=code: rows((c, 1, "x", 1)), code) for code in "12")  # type: ignore[misc]
    for of in (first, first, second, second, first):
        making(of)
    assert [row[0] for row in content()] == ["1", "2"]


def test_an_append_of_changed_input_leaves_what_stands(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(("a", 1, "x", 1), ("b", 1, "x", 2)), "month")
    making(recipe(shape=Shape(partition="month", write="append")))
    put("bronze/events", rows(("c", 1, "x", 1)), "month")
    making(recipe(shape=Shape(partition="month", write="append")))
    assert [row[0] for row in content()] == ["a", "b", "c"]


def test_an_unpartitioned_table_reads_all_of_a_partitioned_one(
    put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute, content: Any
) -> None:
    put("bronze/events", rows(("a", 1, "x", 1), ("b", 1, "x", 4)), "month")
    whole = recipe(shape=Shape(key=("id",)))
    assert make(whole, [""], [""], lakehouse, compute).remade == ("",)
    put("bronze/events", rows(("b", 2, "y", 4)), "month")
    assert make(whole, [""], [""], lakehouse, compute).remade == ("",)
    assert make(whole, [""], [""], lakehouse, compute).commit.unchanged
    assert [row[:2] for row in content()] == [("a", 1), ("b", 2)]


def interrupted(monkeypatch: pytest.MonkeyPatch, times: int, meanwhile: Callable[[], object]) -> list[int]:
    """So many times, somebody commits to the table between its reading and its commit."""
    real, done = delta.commit, []

    def commit(staged: StagedFiles, **arguments: Any) -> Any:
        if staged.location.key == "silver/events" and len(done) < times:
            done.append(1)
            meanwhile()
        return real(staged, **arguments)

    monkeypatch.setattr(tables.delta, "commit", commit)
    return done


def foreign(lakehouse: EmbeddedLakehouse) -> None:
    """A commit of somebody else's, into a partition of its own."""
    location = lakehouse.table("silver/events")
    before = delta.snapshot(location)
    number = before.version if before else -1
    table = rows((f"foreign {number}", 1, "x", 4))
    staged = stage(table.to_batches(), table.schema, location, ("month",))
    change = Change(staged.files, (), {}, {})
    opened = delta_log.opened(location)
    if opened is None:
        delta_log.create(staged, change)
    else:
        delta_log.append(location, opened, change)


@pytest.mark.parametrize("stands", [False, True], ids=["new", "standing"])
def test_a_conflict_is_tried_again_on_what_stands_then(
    put: Any,
    making: Making,
    content: Any,
    lakehouse: EmbeddedLakehouse,
    monkeypatch: pytest.MonkeyPatch,
    stands: bool,
) -> None:
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    if stands:
        making(recipe(), 1)
        put("bronze/events", rows(("a", 2, "y", 1)), "month")
    done = interrupted(monkeypatch, 2, lambda: foreign(lakehouse))
    made = making(recipe(), 1)
    assert len(done) == 2
    assert content()[0][:2] == ("a", 2 if stands else 1)
    assert [row[3] for row in content()] == ["2013-01", "2013-04", "2013-04"]
    assert made.commit.version == delta.existing(lakehouse.table("silver/events")).version
    assert files(lakehouse.table("silver/events")) >= named(lakehouse.table("silver/events"))


def test_an_endless_conflict_is_told_and_leaves_no_stray_file(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    interrupted(monkeypatch, 1_000, lambda: foreign(lakehouse))
    with pytest.raises(ConflictError):
        making(recipe(), 1)
    location = lakehouse.table("silver/events")
    assert files(location) == named(location)


def test_an_error_after_the_rows_were_written_doubles_nothing(
    put: Any, making: Making, content: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a commit that stands though its writer is told that it failed
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    real = delta.commit

    def commit(staged: StagedFiles, **arguments: Any) -> Any:
        real(staged, **arguments)
        monkeypatch.setattr(tables.delta, "commit", real)
        raise ConflictError("it stands, but the answer was lost")

    monkeypatch.setattr(tables.delta, "commit", commit)
    # when it is tried again
    made = making(recipe(shape=Shape(partition="month", write="append")))
    # then the number in the table says that it stands
    assert made.commit.unchanged
    assert content() == [("a", 1, "x", "2013-01")]


def test_makers_of_one_table_at_once_make_it_once(put: Any, making: Making, content: Any) -> None:
    put("bronze/events", rows(*((f"{month}", 1, "x", month) for month in (1, 2, 3, 4))), "month")
    ready = threading.Barrier(4, timeout=20)
    failed: list[BaseException] = []

    def go(month: int) -> None:
        ready.wait()
        try:
            making(recipe(shape=Shape(partition="month", write="append")), month, *([1] if month != 1 else []))
        except BaseException as error:
            failed.append(error)

    makers = [threading.Thread(target=go, args=(month,)) for month in (1, 2, 3, 4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert failed == []
    assert [row[0] for row in content()] == ["1", "2", "3", "4"]


def test_the_log_says_what_was_read_and_by_which_code(put: Any, making: Making, lakehouse: EmbeddedLakehouse) -> None:
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    making(recipe(code="c0de"))
    log = Path(lakehouse.table("silver/events").uri) / "_delta_log" / f"{0:020}.json"
    said = json.loads(log.read_text().splitlines()[0])["commitInfo"]
    assert (json.loads(said["read"]), json.loads(said["code"])) == ({"bronze/events": 0}, "c0de")


FULL = """
import resource, sys
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.tables import make
from ml_platform.errors import ServiceError
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

shape = Shape(("id",), sys.argv[3] or None, sys.argv[2], "known")
recipe = Recipe("silver/events", ("bronze/events",), shape, "1", "SELECT * FROM bronze.events")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    make(recipe, ["2013-01"], ["2013-01"], EmbeddedLakehouse(sys.argv[1]), EmbeddedCompute(threads=1))
except ServiceError as error:
    print(error)
"""


@pytest.mark.parametrize("write", ["overwrite", "append", "merge", "history"])
def test_a_disk_that_fills_is_told_and_leaves_the_table_and_no_stray_file(
    put: Any, making: Making, lakehouse: EmbeddedLakehouse, tmp_path: Path, write: Any
) -> None:
    def content() -> list[Any]:
        rows: list[Any] = delta.read_rows(delta.existing(lakehouse.table("silver/events"))).to_pylist()
        return rows

    # given a table, and then more rows than the disk has room for
    partition = "" if write == "history" else "month"
    shape = Shape(key=("id",), partition=partition or None, write=write, newest="known")
    put("bronze/events", rows(("a", 1, "x", 1)), "month")
    making(recipe(shape=shape), 1)
    standing, before = content(), files(lakehouse.table("silver/events"))
    more = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2_000)]
    put("bronze/events", rows(("a", 1, "x", 1), *((text, 1, text, 1) for text in more)), "month")
    # when it is made
    command = [sys.executable, "-c", FULL, str(tmp_path / "lakehouse"), write, partition]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    # then the error says so, nothing is left of it, and once there is room it is made
    assert "but there is no room for it" in done.stdout
    assert content() == standing
    assert files(lakehouse.table("silver/events")) == before
    assert aside(lakehouse) == []
    making(recipe(shape=shape), 1)
    assert len(content()) == 2_001
