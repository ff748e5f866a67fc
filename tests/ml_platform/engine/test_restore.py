from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from ml_platform.engine import delta, ingest, quarantine, restore, tables, vacuum
from ml_platform.engine.expectations import Expectations
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.ingest import Source
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import GRACE_SECONDS, stage
from ml_platform.errors import ConflictError, DeclarationError, NotFoundError
from ml_platform.records.expectation import Rule
from ml_platform.records.upkeep import Swept
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

MONTHS = ["2024-01", "2024-02"]
SOURCE = Source(
    key="bronze/orders",
    landing="landing/shop",
    pattern="*.csv",
    columns={"id": "int64", "day": "date"},
    partition="month",
    partition_of="day",
)
APPENDING = Recipe("silver/log", ("bronze/orders",), Shape(partition="month", write="append"), "1", "SELECT * FROM bronze.orders")  # fmt: skip # noqa: E501
MERGED = Recipe(
    "silver/orders",
    ("bronze/orders",),
    Shape(key=("id",), partition="month"),
    "1",
    "SELECT DISTINCT id, day, month FROM bronze.orders",
)
Land = Callable[..., None]


@pytest.fixture
def land(lakehouse: EmbeddedLakehouse) -> Land:
    """A file of orders; the month by its number."""

    def land(name: str, month: int, *ids: int) -> None:
        rows = "".join(f"{number},2024-{month:02}-05\n" for number in ids)
        put(filesystem(lakehouse.files(SOURCE.landing)), name, f"id,day\n{rows}".encode())

    return land


def take(lakehouse: EmbeddedLakehouse) -> ingest.Ingested:
    return ingest.ingest(SOURCE, MONTHS[:1], MONTHS, lakehouse)


def ids(lakehouse: EmbeddedLakehouse, key: str = SOURCE.key, version: int | None = None) -> list[int]:
    table = DeltaTable(lakehouse.table(key).uri, version=version).to_pyarrow_table()
    return sorted(table["id"].to_pylist())


def made(recipe: Recipe, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> tables.Made:
    return tables.make(recipe, MONTHS, MONTHS, lakehouse, compute)


def test_the_table_holds_what_it_held_and_every_version_stays(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    for number in range(3):
        put("silver/orders", {"id": [number]})
    was = delta.snapshot(lakehouse.table("silver/orders"), 1)
    done = restore.restore("silver/orders", 1, "a wrong file", lakehouse)
    assert (done.of, done.version, done.rows, done.files_back, done.files_gone) == (1, 3, 1, 1, 1)
    assert [ids(lakehouse, "silver/orders", version) for version in range(4)] == [[0], [1], [2], [1]]
    now = delta.existing(lakehouse.table("silver/orders"))
    assert was is not None
    assert delta.fingerprint(now) == delta.fingerprint(was)


def test_the_reason_is_in_the_commit(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/orders", {"id": [1]})
    put("silver/orders", {"id": [2]})
    restore.restore("silver/orders", 0, "a wrong file", lakehouse)
    (latest, *_) = DeltaTable(lakehouse.table("silver/orders").uri).history(1)
    assert json.loads(latest["restored"]) == {"version": 0, "why": "a wrong file"}


def test_columns_go_back_too(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/orders", {"id": [1]})
    put("silver/orders", {"id": [1], "late": [True]})
    restore.restore("silver/orders", 0, "it should not have come", lakehouse)
    assert delta.existing(lakehouse.table("silver/orders")).schema.names == ["id"]


def test_restoring_what_stands_changes_nothing(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/orders", {"id": [1]})
    done = restore.restore("silver/orders", 0, "to be sure", lakehouse)
    assert (done.version, done.files_back, done.files_gone, done.reopened) == (0, 0, 0, ())


def test_undone_batches_are_ingested_again_exactly_once(land: Land, lakehouse: EmbeddedLakehouse) -> None:
    # given three batches
    for number in range(3):
        land(f"{number}.csv", 1, number, 10 + number)
        take(lakehouse)
    assert ids(lakehouse) == [0, 1, 2, 10, 11, 12]
    # when the last two are undone
    done = restore.restore(SOURCE.key, 0, "they were wrong", lakehouse)
    assert ids(lakehouse) == [0, 10]
    assert done.reopened == ("ingest",)
    assert delta.transaction(lakehouse.table(SOURCE.key), "ingest") == 1
    # then they are offered again, once
    assert ingest.waiting(SOURCE, MONTHS, lakehouse) == {"2024-01"}
    assert take(lakehouse).files == 2
    assert ids(lakehouse) == [0, 1, 2, 10, 11, 12]
    assert take(lakehouse).commit.unchanged
    assert ids(lakehouse) == [0, 1, 2, 10, 11, 12]


def test_a_restore_can_be_undone_though_other_batches_came_between(land: Land, lakehouse: EmbeddedLakehouse) -> None:
    # given two batches, of which the second is undone
    land("a.csv", 1, 1)
    take(lakehouse)
    land("b.csv", 1, 2)
    take(lakehouse)
    restore.restore(SOURCE.key, 0, "b was wrong", lakehouse)
    # and a batch under the number of the undone one, without its file
    filesystem(lakehouse.files(SOURCE.landing)).delete_file("b.csv")
    land("c.csv", 1, 3)
    take(lakehouse)
    assert ids(lakehouse) == [1, 3]
    # when the table goes back to where b stood and c did not
    restore.restore(SOURCE.key, 1, "b was right after all", lakehouse)
    assert ids(lakehouse) == [1, 2]
    # then c is taken again, and b, landed again, is not
    land("b.csv", 1, 2)
    take(lakehouse)
    assert ids(lakehouse) == [1, 2, 3]


def test_a_run_that_read_the_manifest_before_writes_down_no_undone_batch(
    land: Land, lakehouse: EmbeddedLakehouse
) -> None:
    # given a manifest that was loaded before the restore, with a batch that it has yet to write down
    land("a.csv", 1, 1)
    take(lakehouse)
    land("b.csv", 1, 2)
    take(lakehouse)
    location = lakehouse.table(f"{SOURCE.key}__manifest")
    seen = delta.existing(location)
    restore.restore(SOURCE.key, 0, "b was wrong", lakehouse)
    # when it is written
    rows = delta.read_rows(seen)
    staged = stage(rows.to_batches(), rows.schema, location)
    with pytest.raises(ConflictError):
        delta.commit(staged, read=seen, replaced=(), transactions={"ingest": 2}, evidence={})
    # then the batch is offered again all the same
    take(lakehouse)
    assert ids(lakehouse) == [1, 2]


@pytest.mark.parametrize("fails_at", ["_restored", "_forget_batches"])
def test_a_restore_that_ends_half_way_loses_and_doubles_nothing(
    land: Land, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    land("a.csv", 1, 1)
    take(lakehouse)
    land("b.csv", 1, 2)
    take(lakehouse)
    # given a restore that is killed before the rows go back, or after
    whole, calls = getattr(restore, fails_at), []

    def killed(*arguments: Any) -> Any:
        calls.append(arguments)
        if fails_at == "_restored" or len(calls) > 1:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(restore, fails_at, killed)
    with pytest.raises(KeyboardInterrupt):
        restore.restore(SOURCE.key, 0, "b was wrong", lakehouse)
    # then the next run has every row once
    take(lakehouse)
    assert ids(lakehouse) == [1, 2]


@pytest.mark.parametrize("recipe", [MERGED, APPENDING], ids=["overwrite", "append"])
def test_undone_partitions_are_made_again_exactly_once(
    land: Land, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute, recipe: Recipe
) -> None:
    # given a table made twice, which keeps a number of each time
    land("a.csv", 1, 1)
    take(lakehouse)
    made(recipe, lakehouse, compute)
    first = delta.existing(lakehouse.table(recipe.key)).version
    land("b.csv", 1, 2)
    take(lakehouse)
    made(recipe, lakehouse, compute)
    stood = ids(lakehouse, recipe.key)
    # when the second time is undone
    done = restore.restore(recipe.key, first, "it was wrong", lakehouse)
    assert ids(lakehouse, recipe.key) == [1]
    assert all(name.startswith(("made:2024-01", "seen:2024-01")) for name in done.reopened)
    assert done.reopened
    # then it is made again, once
    again = made(recipe, lakehouse, compute)
    assert not again.commit.unchanged
    assert again.remade == ("2024-01",)
    assert ids(lakehouse, recipe.key) == stood
    assert made(recipe, lakehouse, compute).commit.unchanged
    assert ids(lakehouse, recipe.key) == stood


def test_names_are_taken_back_after_the_log_was_cleaned_up(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    # given a name that came after the version to go back to, known from a checkpoint alone
    location = lakehouse.table("silver/orders")
    put("silver/orders", {"id": [1]})
    DeltaTable(location.uri).create_checkpoint()
    now = delta.existing(location)
    delta.commit(now, read=now, replaced=now.files, transactions={"made:late": 5}, evidence={})
    DeltaTable(location.uri).create_checkpoint()
    (Path(location.uri) / "_delta_log" / f"{0:020}.json").unlink()
    # when the table goes back
    assert restore.restore("silver/orders", 0, "why not", lakehouse).reopened == ("made:late",)
    # then the name is not there, before and after another checkpoint
    assert delta.transaction(location, "made:late") is None
    DeltaTable(location.uri).create_checkpoint()
    assert delta.transaction(location, "made:late") is None


@pytest.mark.parametrize(
    ("key", "version", "message"),
    [
        ("silver/order", 0, "the table silver/order is not there, but it is to be restored"),
        ("silver/orders", 7, "version 7 of silver/orders is asked for, but there never was one. Versions .* 0 to 1"),
        ("silver/orders", -1, "version -1 of silver/orders is asked for, but there never was one"),
    ],
)
def test_what_is_not_there_cannot_be_restored(
    put: Any, lakehouse: EmbeddedLakehouse, key: str, version: int, message: str
) -> None:
    put("silver/orders", {"id": [1]})
    put("silver/orders", {"id": [2]})
    with pytest.raises(NotFoundError, match=message):
        restore.restore(key, version, "why not", lakehouse)
    assert not Path(lakehouse.table("silver/order").uri).exists()


def test_a_version_whose_files_were_vacuumed_is_not_restored(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/orders", {"id": [1]})
    put("silver/orders", {"id": [2]})
    location = lakehouse.table("silver/orders")
    old = delta.snapshot(location, 0)
    assert old is not None
    (Path(location.uri) / old.files[0].path).unlink()
    with pytest.raises(NotFoundError, match=r"version 0 of silver/orders .* cleared it away: 1 of its files are gone"):
        restore.restore("silver/orders", 0, "why not", lakehouse)
    assert ids(lakehouse, "silver/orders") == [2]


def test_a_version_whose_log_was_cleaned_up_is_not_restored(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/orders", {"id": [1]})
    put("silver/orders", {"id": [2]})
    location = lakehouse.table("silver/orders")
    DeltaTable(location.uri).create_checkpoint()
    (Path(location.uri) / "_delta_log" / f"{0:020}.json").unlink()
    with pytest.raises(NotFoundError, match=r"maintenance has cleared it away. Versions that can be opened go from 1"):
        restore.restore("silver/orders", 0, "why not", lakehouse)


def swept(lakehouse: EmbeddedLakehouse, key: str) -> Swept:
    """As it is a day and a minute from now, with no retention beyond that."""
    return vacuum.sweep(lakehouse.table(key), 0, (), time.time() + GRACE_SECONDS + 60)


def test_a_restore_meanwhile_keeps_the_files_that_a_vacuum_had_decided_on(
    put: Any, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a vacuum that has looked at the table, and a restore before it removes anything
    put("silver/orders", {"id": [1]})
    put("silver/orders", {"id": [2]})
    whole, calls = vacuum._announce, []

    def announce(look: Any) -> None:
        if not calls:
            calls.append(restore.restore("silver/orders", 0, "it was right", lakehouse))
        whole(look)

    monkeypatch.setattr(vacuum, "_announce", announce)
    swept(lakehouse, "silver/orders")
    assert calls
    assert ids(lakehouse, "silver/orders") == [1]


def test_a_restore_that_comes_behind_a_vacuum_is_refused_before_the_files_are_gone(
    put: Any, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a vacuum that has begun, and all files still there
    put("silver/orders", {"id": [1]})
    put("silver/orders", {"id": [2]})
    whole, told = vacuum._removed, []

    def removed(*arguments: Any) -> Any:
        with pytest.raises(NotFoundError, match=r"version 0 of silver/orders .* maintenance has cleared it away") as it:
            restore.restore("silver/orders", 0, "it was right", lakehouse)
        told.append(str(it.value))
        yield from whole(*arguments)

    monkeypatch.setattr(vacuum, "_removed", removed)
    assert swept(lakehouse, "silver/orders").files == 1
    assert told
    assert ids(lakehouse, "silver/orders") == [2]


def test_a_version_of_which_all_files_stand_is_restored_behind_a_vacuum(
    land: Land, lakehouse: EmbeddedLakehouse
) -> None:
    for number in range(2):
        land(f"{number}.csv", 1, number)
        take(lakehouse)
    (Path(lakehouse.table(SOURCE.key).uri) / f"{'a' * 64}.parquet").write_bytes(b"left over")
    assert swept(lakehouse, SOURCE.key).files == 1
    restore.restore(SOURCE.key, 0, "1 was wrong", lakehouse)
    assert ids(lakehouse) == [0]


def sieved(write: Any, **more: Any) -> Recipe:
    """A table that sets rows of an id below 10 apart."""
    low = Rule("low", "between", "quarantine", column="id", low=10)
    key = () if write == "append" else ("id",)
    shape = Shape(key=key, partition="month", write=write, **more)
    query = "SELECT id, day, month FROM bronze.orders"
    return Recipe("silver/kept", ("bronze/orders",), shape, "1", query, expects=Expectations((low,)))


SIEVED = {"append": sieved("append"), "merge": sieved("merge", newest="day"), "overwrite": sieved("overwrite")}


@pytest.mark.parametrize("write", list(SIEVED))
def test_a_quarantine_goes_back_with_its_table_and_its_rows_come_again_once(
    land: Land, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute, write: str
) -> None:
    # given a table made twice, each time with a row for its quarantine
    recipe, aside = SIEVED[write], quarantine.key_of("silver/kept")
    land("a.csv", 1, 11, 1)
    take(lakehouse)
    made(recipe, lakehouse, compute)
    first = delta.existing(lakehouse.table(recipe.key)).version
    land("b.csv", 1, 12, 2)
    take(lakehouse)
    made(recipe, lakehouse, compute)
    assert rows_aside(lakehouse) == [1, 2]
    # when the second time is undone, by a restore that is killed half way and given again
    whole = restore._back
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(restore, "_back", killed)
        with pytest.raises(KeyboardInterrupt):
            restore.restore(recipe.key, first, "it was wrong", lakehouse)
    assert restore._back is whole
    done = restore.restore(recipe.key, first, "it was wrong", lakehouse)
    # then both hold what they held
    assert done.beside == {aside: 0}
    assert (ids(lakehouse, recipe.key), rows_aside(lakehouse)) == ([11], [1])
    # and more that came meanwhile is taken with what was undone, once
    land("c.csv", 1, 13, 3)
    take(lakehouse)
    made(recipe, lakehouse, compute)
    assert (ids(lakehouse, recipe.key), rows_aside(lakehouse)) == ([11, 12, 13], [1, 2, 3])
    assert made(recipe, lakehouse, compute).commit.unchanged


def killed(*_: Any) -> None:
    raise KeyboardInterrupt


def rows_aside(lakehouse: EmbeddedLakehouse) -> list[int]:
    rows = delta.read_rows(delta.existing(lakehouse.table(quarantine.key_of("silver/kept"))))
    return sorted(json.loads(row)["id"] for row in rows["row"].to_pylist())


def test_a_quarantine_that_came_later_is_empty_again(
    land: Land, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    land("a.csv", 1, 11, 1)
    take(lakehouse)
    made(replace(SIEVED["overwrite"], expects=Expectations(), code="0"), lakehouse, compute)
    made(SIEVED["overwrite"], lakehouse, compute)
    assert (ids(lakehouse, "silver/kept"), rows_aside(lakehouse)) == ([11], [1])
    done = restore.restore("silver/kept", 0, "the rule was wrong", lakehouse)
    assert done.beside == {"silver/kept__quarantine": None}
    assert (ids(lakehouse, "silver/kept"), rows_aside(lakehouse)) == ([1, 11], [])
    made(SIEVED["overwrite"], lakehouse, compute)
    assert (ids(lakehouse, "silver/kept"), rows_aside(lakehouse)) == ([11], [1])


@pytest.mark.parametrize("write", ["merge", "history"])
def test_delete_markers_go_back_with_their_table(
    put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute, write: Any
) -> None:
    # given a key that a wrong row of its input deleted
    recipe = Recipe(
        "silver/kept", ("bronze/events",), Shape(key=("id",), write=write, newest="at", delete_when="op = 'D'"), "1",
        "SELECT * FROM bronze.events",
    )  # fmt: skip
    events = {"id": [1, 2], "at": [1, 1], "op": ["U", "U"]}
    put("bronze/events", events)
    tables.make(recipe, [""], [""], lakehouse, compute)
    put("bronze/events", {"id": [*events["id"], 1], "at": [1, 1, 5], "op": ["U", "U", "D"]})
    tables.make(recipe, [""], [""], lakehouse, compute)
    assert current(lakehouse) == [2]
    # when input and table go back
    restore.restore("bronze/events", 0, "it was deleted by mistake", lakehouse)
    done = restore.restore(recipe.key, 0, "it was deleted by mistake", lakehouse)
    assert done.beside == {"silver/kept__deleted": None}
    # then the key is there, and stays when more comes that is older than the mistake
    assert current(lakehouse) == [1, 2]
    put("bronze/events", {"id": [*events["id"], 1, 3], "at": [1, 1, 3, 1], "op": ["U"] * 4})
    tables.make(recipe, [""], [""], lakehouse, compute)
    assert current(lakehouse) == [1, 2, 3]


def current(lakehouse: EmbeddedLakehouse) -> list[int]:
    rows = delta.read_rows(delta.existing(lakehouse.table("silver/kept"))).to_pylist()
    return sorted(row["id"] for row in rows if row.get("is_current", True))


def test_a_merges_undone_rows_come_again(land: Land, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> None:
    # given a merge and its input, each of which went back
    recipe = replace(SIEVED["merge"], expects=Expectations())
    land("a.csv", 1, 1)
    take(lakehouse)
    made(recipe, lakehouse, compute)
    land("b.csv", 1, 2)
    take(lakehouse)
    made(recipe, lakehouse, compute)
    for key in (SOURCE.key, recipe.key):
        restore.restore(key, 0, "b was wrong", lakehouse)
    assert ids(lakehouse, recipe.key) == [1]
    # then the file that is open again brings its rows again, once
    take(lakehouse)
    made(recipe, lakehouse, compute)
    assert ids(lakehouse, recipe.key) == [1, 2]
    assert made(recipe, lakehouse, compute).commit.unchanged


def test_a_sources_quarantine_is_made_again_with_the_files_that_are_open_again(lakehouse: EmbeddedLakehouse) -> None:
    # given two files with a misfit each, and one of misfits alone
    source, files = replace(SOURCE, misfits="quarantine"), filesystem(lakehouse.files(SOURCE.landing))
    for name, numbers in (("a", "1x"), ("c", "y"), ("b", "2z")):
        rows = "".join(f"{number},2024-01-05\n" for number in numbers)
        put(files, f"{name}.csv", f"id,day\n{rows}".encode())
        ingest.ingest(source, MONTHS[:1], MONTHS, lakehouse)
    aside = lakehouse.table(quarantine.key_of(source.key))
    # when the last is undone
    assert restore.restore(source.key, 0, "b was wrong", lakehouse).beside == {}
    ingest.ingest(source, MONTHS[:1], MONTHS, lakehouse)
    # then every row stands once, here or there
    assert ids(lakehouse) == [1, 2]
    refused = [json.loads(row)["id"] for row in delta.read_rows(delta.existing(aside))["row"].to_pylist()]
    assert sorted(refused) == ["x", "y", "z"]


def test_a_restore_says_why_and_is_of_no_manifest(lakehouse: EmbeddedLakehouse) -> None:
    with pytest.raises(DeclarationError, match="the reason is empty, but a restore says why"):
        restore.restore("silver/orders", 0, " ", lakehouse)
    with pytest.raises(DeclarationError, match=r"bronze/orders__manifest is a manifest, .*Restore bronze/orders"):
        restore.restore("bronze/orders__manifest", 0, "why not", lakehouse)
    with pytest.raises(DeclarationError, match=r"x__deleted is beside a table, but it goes back .*Restore x"):
        restore.restore("x__deleted", 0, "why not", lakehouse)


def test_an_old_version_is_read_beside_the_latest(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/orders", {"id": [1]})
    put("silver/orders", pa.table({"id": [2], "more": ["x"]}))
    old = delta.snapshot(lakehouse.table("silver/orders"), 0)
    assert old is not None
    assert delta.read_rows(old).to_pylist() == [{"id": 1}]
    with pytest.raises(NotFoundError, match="the table silver/orders has no version 2"):
        delta.snapshot(lakehouse.table("silver/orders"), 2)
