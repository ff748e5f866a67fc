from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from ml_platform.engine import compaction, delta
from ml_platform.engine.compaction import compact
from ml_platform.engine.staging import present, stage
from ml_platform.errors import AuditError
from ml_platform.records.table import Commit, Location, TableSnapshot
from resources.embedded.compute import EmbeddedCompute

Append = Callable[..., Commit]


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("bronze/orders", str(tmp_path / "orders"))


@pytest.fixture
def append(location: Location) -> Append:
    """Rows, one file a partition."""

    def append(ids: list[int], months: list[str] | None = None, **more: list[Any]) -> Commit:
        table = pa.table({"id": ids, **more, **({"month": months} if months else {})})
        staged = stage(table.to_batches(), table.schema, location, ("month",) if months else ())
        return delta.commit(staged, read=delta.snapshot(location), replaced=(), transactions={}, evidence={})

    return append


def read(location: Location, version: int | None = None) -> list[Any]:
    """The rows by another reader, sorted."""
    return sorted(map(str, DeltaTable(location.uri, version=version).to_pyarrow_table().to_pylist()))


def actions(location: Location, version: int) -> list[dict[str, Any]]:
    text = (Path(location.uri) / "_delta_log" / f"{version:020}.json").read_text()
    return [json.loads(line) for line in text.splitlines()]


def orphans(location: Location) -> set[str]:
    log = set(read_all(location))
    return {path for path in present(location) if not path.startswith("_delta_log/")} - log


def read_all(location: Location) -> list[str]:
    """The files of every version."""
    latest = delta.existing(location).version
    found = [delta.snapshot(location, version) for version in range(latest + 1)]
    return [file.path for snap in found if snap for file in snap.files]


def existing(location: Location) -> TableSnapshot:
    return delta.existing(location)


def test_small_files_of_a_partition_become_one_with_the_same_rows_in_their_order(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    for first in (0, 10, 20):
        append([first + 2, first + 1], ["2013-01", "2013-01"])
    append([7], ["2013-02"])
    before, rows = existing(location), read(location)
    order = delta.read_rows(delta.restrict(before, "month", ["2013-01"]))["id"].to_pylist()
    done = compact(before, (), compute)
    assert (len(done.before.files), len(done.after.files)) == (4, 2)
    assert (done.rewritten, done.gave_way) == (("2013-01",), ())
    assert read(location) == rows == read(location, before.version)
    assert delta.read_rows(delta.restrict(done.after, "month", ["2013-01"]))["id"].to_pylist() == order
    assert not orphans(location)


def test_a_compacted_table_has_the_fingerprint_that_it_had_whole_and_by_partition(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    for number in range(3):
        append([number, 10 + number], ["2013-01", "2013-02"])
    before = existing(location)
    done = compact(before, (), compute)
    assert {file.path for file in done.after.files}.isdisjoint(file.path for file in before.files)
    assert delta.fingerprint(done.after) == delta.fingerprint(before)
    for month in ("2013-01", "2013-02"):
        of, was = (delta.restrict(snap, "month", [month]) for snap in (done.after, before))
        assert delta.fingerprint(of) == delta.fingerprint(was)


def test_fingerprints_go_on_as_if_nothing_had_been_compacted(
    location: Location, append: Append, compute: EmbeddedCompute, tmp_path: Path
) -> None:
    # given the same appends to two tables, of which one is compacted in between, twice
    other = Location("bronze/orders", str(tmp_path / "other"))
    for number in range(6):
        append([number])
        rows = pa.table({"id": [number]})
        staged = stage(rows.to_batches(), rows.schema, other)
        delta.commit(staged, read=delta.snapshot(other), replaced=(), transactions={}, evidence={})
        if number in (2, 4):
            compact(existing(location), (), compute)
    # then what they hold goes by the same fingerprint
    assert len(existing(location).files) == 2
    assert delta.fingerprint(existing(location)) == delta.fingerprint(existing(other))


def test_the_commit_says_that_no_data_changed(location: Location, append: Append, compute: EmbeddedCompute) -> None:
    append([1])
    append([2])
    compact(existing(location), (), compute)
    said = [action for line in actions(location, 2) for kind, action in line.items() if kind in ("add", "remove")]
    assert len(said) == 3
    assert {action["dataChange"] for action in said} == {False}


def test_files_are_still_named_by_the_digest_of_their_content(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    append([1])
    append([2])
    (file,) = compact(existing(location), (), compute).after.files
    content = (Path(location.uri) / file.path).read_bytes()
    assert file.path.split(".")[0] == hashlib.sha256(content).hexdigest()
    assert file.size_bytes == len(content)


def test_a_table_in_shape_is_left_as_it_is(location: Location, append: Append, compute: EmbeddedCompute) -> None:
    append([1])
    append([2])
    compact(existing(location), (), compute)
    version = existing(location).version
    done = compact(existing(location), (), compute)
    assert (existing(location).version, done.rewritten) == (version, ())


def test_large_files_are_not_rewritten_with_small_ones(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    append(list(range(50_000)))
    (large,) = existing(location).files
    append([1])
    append([2])
    done = compact(existing(location), (), compute, small=large.size_bytes)
    assert len(done.after.files) == 2
    assert large.path in {file.path for file in done.after.files}


def test_rows_are_clustered_by_columns_where_files_overlap_in_them(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    append([5, 1, 9], ["2013-01"] * 3)
    append([4, 8, 2], ["2013-01"] * 3)
    before = existing(location)
    done = compact(before, ("id",), compute, small=0)
    (file,) = done.after.files
    assert pq.read_table(Path(location.uri) / file.path)["id"].to_pylist() == [1, 2, 4, 5, 8, 9]
    assert delta.fingerprint(done.after) == delta.fingerprint(before)


def test_files_that_do_not_overlap_are_clustered_already(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    append([1, 2])
    append([2, 3])
    version = existing(location).version
    assert compact(existing(location), ("id",), compute, small=0).rewritten == ()
    assert existing(location).version == version


def test_a_column_that_came_later_is_null_in_older_rows(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    append([1])
    append([2], later=["x"])
    append([3], later=["y"])
    compact(existing(location), (), compute)
    table = DeltaTable(location.uri).to_pyarrow_table().sort_by("id")
    assert table["later"].to_pylist() == [None, "x", "y"]


def test_an_append_meanwhile_stays_and_the_rewrite_stands_on_it(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    append([1])
    append([2])
    seen = existing(location)
    append([3])
    done = compact(seen, (), compute)
    assert len(done.after.files) == 2
    assert read(location) == ["{'id': 1}", "{'id': 2}", "{'id': 3}"]


def test_a_partition_that_a_writer_replaced_meanwhile_is_left_to_it(
    location: Location, append: Append, compute: EmbeddedCompute
) -> None:
    # given a rewrite of two partitions that was decided on
    for number in range(2):
        append([number, 10 + number], ["2013-01", "2013-02"])
    seen = existing(location)
    # when a writer replaces one of them before it is committed
    new = pa.table({"id": [99], "month": ["2013-01"]})
    staged = stage(new.to_batches(), new.schema, location, ("month",))
    going = delta.restrict(seen, "month", ["2013-01"]).files
    delta.commit(staged, read=seen, replaced=going, transactions={}, evidence={})
    done = compact(seen, (), compute)
    # then that one is the writer's, the other is rewritten, and nothing is left lying about
    assert (done.rewritten, done.gave_way) == (("2013-02",), ("2013-01",))
    assert read(location) == sorted(
        map(str, [{"id": 99, "month": "2013-01"}, {"id": 10, "month": "2013-02"}, {"id": 11, "month": "2013-02"}])
    )
    assert not orphans(location)


def test_rows_lost_on_the_way_are_found_before_they_are_committed(
    location: Location, append: Append, compute: EmbeddedCompute, monkeypatch: pytest.MonkeyPatch
) -> None:
    append([1])
    append([2])
    one = existing(location).files[:1]
    whole = compaction._in_order
    monkeypatch.setattr(compaction, "_in_order", lambda old: whole(type(old)(**{**vars(old), "files": one})))
    with pytest.raises(AuditError, match="has 2 rows in the files to rewrite, but 1 came of them"):
        compact(existing(location), (), compute)
    assert existing(location).version == 1
    assert not orphans(location)
