from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field, Schema, write_deltalake

from ml_platform.engine import delta
from ml_platform.engine.delta_log import UNDONE
from ml_platform.engine.staging import present, stage
from ml_platform.errors import AuditError, ConflictError, ServiceError
from ml_platform.records.table import Commit, Location, StagedFiles


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("silver/flights", str(tmp_path / "flights"))


def rows(location: Location, by: str | None = "month", /, **columns: Any) -> StagedFiles:
    table = pa.table(columns)
    return stage(table.to_batches(), table.schema, location, (by,) if by else ())


def commit(staged: StagedFiles, *, replacing: str | None = None, **transactions: int) -> Commit:
    """On the latest version, in place of one partition."""
    before = delta.snapshot(staged.location)
    replaced = delta.restrict(before, "month", [replacing]).files if before and replacing else ()
    return delta.commit(staged, read=before, replaced=replaced, transactions=transactions, evidence={})


def content(location: Location, version: int | None = None) -> list[Mapping[str, Any]]:
    """The rows by another reader: deltalake's own."""
    return sorted(DeltaTable(location.uri, version=version).to_pyarrow_table().to_pylist(), key=str)


def actions(location: Location, version: int) -> dict[str, list[Any]]:
    """What one entry of the log says, by kind."""
    found: dict[str, list[Any]] = {}
    for line in (Path(location.uri) / "_delta_log" / f"{version:020}.json").read_text().splitlines():
        for kind, action in json.loads(line).items():
            found.setdefault(kind, []).append(action)
    return found


def test_a_table_is_created_with_its_rows_in_one_commit(location: Location) -> None:
    done = commit(rows(location, n=[1, 2, 3], month=["a", "a", "b"]), made=7)
    assert done == Commit(0, 3, 0, ("a", "b"), unchanged=False)
    assert content(location) == [{"n": 1, "month": "a"}, {"n": 2, "month": "a"}, {"n": 3, "month": "b"}]
    assert {kind: len(found) for kind, found in actions(location, 0).items()} == {
        "commitInfo": 1, "protocol": 1, "metaData": 1, "add": 2, "txn": 1
    }  # fmt: skip


def test_staged_files_are_invisible_until_they_are_committed(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]))
    staged = rows(location, n=[2], month=["a"])
    assert {file.path for file in staged.files} <= present(location)
    assert content(location) == [{"n": 1, "month": "a"}]
    assert delta.existing(location).rows == 1


def test_a_commit_replaces_only_what_it_names(location: Location) -> None:
    # given three partitions
    commit(rows(location, n=[1, 2, 3], month=["a", "b", "c"]))
    before = {file.partition["month"]: file.path for file in delta.existing(location).files}
    # when one of them is replaced
    done = commit(rows(location, n=[20, 21], month=["b", "b"]), replacing="b")
    # then the log adds and removes files of that one alone
    said = actions(location, 1)
    assert [action["path"] for action in said["remove"]] == [before["b"]]
    assert [action["partitionValues"] for action in said["add"]] == [{"month": "b"}]
    assert done == Commit(1, 2, 1, ("b",), unchanged=False)
    after = {file.partition["month"]: file.path for file in delta.existing(location).files}
    assert (after["a"], after["c"]) == (before["a"], before["c"])
    assert sorted(row["n"] for row in content(location)) == [1, 3, 20, 21]


def test_older_versions_stay_readable(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]))
    commit(rows(location, n=[2], month=["a"]), replacing="a")
    old = delta.snapshot(location, 0)
    assert old is not None
    assert delta.read_rows(old).to_pylist() == [{"n": 1, "month": "a"}]


def test_an_emptied_partition_is_empty(location: Location) -> None:
    commit(rows(location, n=[1, 2], month=["a", "b"]))
    done = commit(StagedFiles(location, delta.existing(location).schema, ("month",), ()), replacing="a")
    assert done == Commit(1, 0, 1, ("a",), unchanged=False)
    assert content(location) == [{"n": 2, "month": "b"}]


def test_an_application_transaction_is_in_the_commit_of_its_rows(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]), ingest=1)
    commit(rows(location, n=[2], month=["b"]), ingest=2, other=9)
    said = actions(location, 1)
    assert len(said["add"]) == 1
    assert {action["appId"]: action["version"] for action in said["txn"]} == {"ingest": 2, "other": 9}
    assert delta.transactions(location, ["ingest", "other", "never"]) == {"ingest": 2, "other": 9, "never": None}
    assert delta.transaction(location, "ingest", version=0) == 1


def test_an_application_transaction_survives_checkpoint_and_log_clean_up(location: Location) -> None:
    for number in range(3):
        commit(rows(location, n=[number], month=["a"]), ingest=number)
    table = DeltaTable(location.uri)
    table.create_checkpoint()
    for entry in (Path(location.uri) / "_delta_log").glob("*.json"):
        entry.unlink()
    assert delta.transaction(location, "ingest") == 2
    assert delta.existing(location).rows == 3


def test_unchanged_rows_make_no_version(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]), made=7)
    done = commit(rows(location, n=[1], month=["a"]), replacing="a", made=7)
    assert done == Commit(0, 0, 0, (), unchanged=True)
    assert DeltaTable(location.uri).version() == 0


def test_unchanged_rows_with_a_new_number_are_noted_and_nothing_else(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]), made=7)
    done = commit(rows(location, n=[1], month=["a"]), replacing="a", made=8)
    assert done == Commit(1, 0, 0, (), unchanged=True)
    assert set(actions(location, 1)) == {"commitInfo", "txn"}


def test_rows_that_stand_already_cannot_be_appended_and_lost(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]), batch=1)

    with pytest.raises(AuditError, match="Give the rows a column that tells one batch from another"):
        commit(rows(location, n=[1], month=["a"]), batch=2)


def test_a_stale_commit_is_refused_and_nothing_is_written(location: Location) -> None:
    # given a snapshot that somebody else's commit has outdated
    commit(rows(location, n=[1], month=["a"]))
    read = delta.snapshot(location)
    assert read is not None
    commit(rows(location, n=[2], month=["a"]), replacing="a")
    # when a commit builds on it, whatever it does
    attempts = [
        (rows(location, n=[3], month=["a"]), read.files),
        (rows(location, n=[3], month=["b"]), ()),
        (rows(location, n=[3], more=[1], month=["b"]), ()),
        (rows(location, n=["three"], month=["a"]), read.files),
    ]
    for staged, replaced in attempts:
        with pytest.raises(ConflictError, match="silver/flights was committed to by somebody else since version 0"):
            delta.commit(staged, read=read, replaced=replaced, transactions={}, evidence={})
    # then the table is as the other one left it
    assert DeltaTable(location.uri).version() == 1
    assert content(location) == [{"n": 2, "month": "a"}]


def _write(location: Location, number: int, before: int | None, ready: Any, said: Any) -> None:
    staged = rows(location, n=[number], month=["a"])
    read = None if before is None else delta.snapshot(location, before)
    ready.wait()
    try:
        delta.commit(staged, read=read, replaced=(), transactions={}, evidence={})
        said.append(number)
    except ConflictError:
        said.append(None)


@pytest.mark.parametrize("stands", [False, True], ids=["new", "standing"])
def test_of_writers_at_the_same_moment_one_wins(tmp_path: Path, stands: bool) -> None:
    for attempt in range(10):
        location = Location("a/b", str(tmp_path / str(attempt)))
        if stands:
            commit(rows(location, n=[-1], month=["a"]))
        ready, said = threading.Barrier(3, timeout=20), list[int | None]()
        writers = [
            threading.Thread(target=_write, args=(location, number, 0 if stands else None, ready, said))
            for number in range(3)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        (winner,) = [number for number in said if number is not None]
        assert len(said) == 3
        assert [row["n"] for row in content(location)] == ([-1] if stands else []) + [winner]


_WRITER = """
import sys, time
import pyarrow as pa
from ml_platform.engine import delta
from ml_platform.engine.delta_log import UNDONE
from ml_platform.engine.staging import stage
from ml_platform.errors import ConflictError
from ml_platform.records.table import Location
uri, number = sys.argv[1:]
table = pa.table({"n": [int(number)]})
staged = stage(table.to_batches(), table.schema, Location("a/b", uri))
print("ready", flush=True)
sys.stdin.readline()
try:
    delta.commit(staged, read=None, replaced=(), transactions={}, evidence={})
    print("won")
except ConflictError:
    print("lost")
"""


def test_two_processes_that_create_a_table_do_not_double_it(location: Location) -> None:
    root = Path(__file__).parents[3]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, location.uri, str(number)],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    outcomes = [writer.communicate(timeout=60)[0].strip() for writer in writers]
    assert sorted(outcomes) == ["lost", "won"]
    assert content(location) == [{"n": outcomes.index("won")}]


def test_a_new_column_may_come_with_one_partition(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]))
    commit(rows(location, n=[2], late=[True], month=["b"]))
    assert content(location) == [{"n": 1, "month": "a", "late": None}, {"n": 2, "month": "b", "late": True}]
    assert delta.read_rows(delta.existing(location), ["n", "late"]).sort_by("n").to_pylist() == [
        {"n": 1, "late": None},
        {"n": 2, "late": True},
    ]


@pytest.mark.parametrize(
    "columns", [{"n": ["text"], "month": ["b"]}, {"m": [1], "month": ["b"]}], ids=["changed", "dropped"]
)
def test_a_changed_or_dropped_column_is_refused_while_other_rows_keep_it(
    location: Location, columns: dict[str, Any]
) -> None:
    commit(rows(location, n=[1, 2], month=["a", "b"]))
    with pytest.raises(AuditError, match="silver/flights changes its columns n, but rows that stay keep the old ones"):
        commit(rows(location, **columns), replacing="b")
    assert DeltaTable(location.uri).version() == 0
    assert [row["n"] for row in content(location)] == [1, 2]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"n": ["text"], "month": ["b"]}, [{"n": "text", "month": "b"}]),
        ({"m": [1], "month": ["b"]}, [{"m": 1, "month": "b"}]),
    ],
    ids=["changed", "dropped"],
)
def test_a_column_may_change_when_every_row_is_rewritten(
    location: Location, columns: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    commit(rows(location, n=[1, 2], month=["a", "b"]))
    staged = rows(location, **columns)
    before = delta.existing(location)
    done = delta.commit(staged, read=before, replaced=before.files, transactions={"made": 1}, evidence={})
    assert done == Commit(1, 1, 2, ("a", "b"), unchanged=False)
    assert content(location) == expected
    assert content(location, 0) == [{"n": 1, "month": "a"}, {"n": 2, "month": "b"}]
    assert delta.transaction(location, "made") == 1


def test_the_order_of_columns_is_no_change(location: Location) -> None:
    commit(rows(location, n=[1], late=[True], month=["a"]))
    commit(rows(location, late=[False], n=[2], month=["b"]))
    assert delta.existing(location).schema.names == ["n", "late", "month"]
    assert content(location) == [{"n": 1, "late": True, "month": "a"}, {"n": 2, "late": False, "month": "b"}]


def test_another_partition_column_is_refused(location: Location) -> None:
    commit(rows(location, None, n=[1], day=["x"]))
    with pytest.raises(AuditError, match="is now partitioned by day, but its table is partitioned by nothing"):
        commit(rows(location, "day", n=[1], day=["x"]))
    assert content(location) == [{"n": 1, "day": "x"}]


@pytest.mark.parametrize("value", ["New York/é", "a b%20", "x=y", "it's", "#?*[1]"])
def test_any_text_can_be_a_partition(location: Location, value: str) -> None:
    commit(rows(location, n=[1, 5], month=[value, "other"]))
    commit(rows(location, n=[2], month=[value]), replacing=value)
    assert sorted(row["n"] for row in content(location)) == [2, 5]
    part = delta.restrict(delta.existing(location), "month", [value])
    assert delta.read_rows(part).to_pylist() == [{"n": 2, "month": value}]


def test_statistics_in_the_log_skip_no_row_that_a_filter_asks_for(location: Location) -> None:
    numbers = {"a": [5, None, 1], "b": [7, 9, None]}
    for month, values in numbers.items():
        commit(rows(location, n=values, t=[f"{value}" for value in values], month=[month] * 3))
    found = pa.table(DeltaTable(location.uri).get_add_actions(flatten=True)).sort_by("partition.month").to_pydict()
    assert found["num_records"] == [3, 3]
    assert (found["min.n"], found["max.n"], found["null_count.n"]) == ([1, 7], [5, 9], [1, 1])
    assert (found["min.t"], found["max.t"], found["null_count.t"]) == (["1", "7"], ["None", "None"], [0, 0])
    dataset = DeltaTable(location.uri).to_pyarrow_dataset()
    for bound in range(11):
        expected = Counter(n for values in numbers.values() for n in values if n is not None and n >= bound)
        assert Counter(dataset.to_table(filter=ds.field("n") >= bound)["n"].to_pylist()) == expected


def test_rows_of_a_file_without_statistics_are_counted_in_the_file(location: Location) -> None:
    commit(rows(location, n=[1, 2, 3], month=["a"] * 3))
    log = Path(location.uri) / "_delta_log" / f"{0:020}.json"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    for entry in entries:
        entry.get("add", {}).pop("stats", None)
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert delta.existing(location).rows == 3


def test_a_table_of_another_writer_can_be_read(location: Location) -> None:
    expected = pa.table({"n": pa.array([1, 2], pa.int32()), "month": ["a", "b"]})
    write_deltalake(location.uri, expected, partition_by=["month"])
    assert delta.read_rows(delta.existing(location)).sort_by("n").equals(expected)
    assert delta.existing(location).rows == 2


LISTED = [
    "catalogManaged", "columnMapping", "deletionVectors", "somethingNew", "typeWidening", "v2Checkpoint",
    "variantShredding-preview", "variantType",
]  # fmt: skip


def announce(location: Location, version: int, *features: str) -> None:
    """A commit by a writer that uses reader features from then on."""
    listed = {"readerFeatures": list(features), "writerFeatures": list(features)}
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, **listed}
    log = Path(location.uri) / "_delta_log" / f"{version:020}.json"
    log.write_text(json.dumps({"protocol": protocol}) + "\n")


@pytest.mark.parametrize("feature", LISTED)
def test_a_table_with_a_feature_that_may_change_which_rows_a_file_holds_is_refused(
    location: Location, feature: str
) -> None:
    commit(rows(location, n=[1], month=["a"]))
    announce(location, 1, "timestampNtz", feature)
    with pytest.raises(
        ServiceError, match=f"silver/flights (uses {feature}, but reading|.* (Feature '{feature}'|catalog))"
    ):
        delta.snapshot(location)
    with pytest.raises(ServiceError):
        delta.transaction(location, "made")


def test_a_feature_of_a_later_version_does_not_hide_the_rows_of_an_older_one(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]))
    announce(location, 1, "deletionVectors")
    old = delta.snapshot(location, 0)
    assert old is not None
    assert delta.read_rows(old).to_pylist() == [{"n": 1, "month": "a"}]
    with pytest.raises(ServiceError, match="uses deletionVectors"):
        delta.snapshot(location, 1)
    with pytest.raises(ServiceError, match="uses deletionVectors"):
        delta.existing(location)


def test_features_that_change_no_row_are_read(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]))
    announce(location, 1, "timestampNtz", "vacuumProtocolCheck")
    assert delta.read_rows(delta.existing(location)).to_pylist() == [{"n": 1, "month": "a"}]


@pytest.mark.parametrize("mode", ["name", "id"])
def test_mapped_columns_are_refused_though_no_feature_is_listed(location: Location, mode: str) -> None:
    # given a table as deltalake writes it: reader version 2, its files' columns named otherwise than its own
    schema = Schema([Field("n", "long"), Field("month", "string")])
    DeltaTable.create(location.uri, schema, configuration={"delta.columnMapping.mode": mode})
    write_deltalake(location.uri, pa.table({"n": [1], "month": ["a"]}), mode="append")
    (file,) = Path(location.uri).rglob("*.parquet")
    assert pq.read_schema(file).names != ["n", "month"]
    # then nothing reads it, which would find no column
    with pytest.raises(ServiceError, match="uses columnMapping, but reading its files would misread it"):
        delta.snapshot(location)


def test_deletion_vectors_of_another_writer_are_refused(location: Location) -> None:
    schema = Schema([Field("n", "long")])
    DeltaTable.create(location.uri, schema, configuration={"delta.enableDeletionVectors": "true"})
    write_deltalake(location.uri, pa.table({"n": [1, 2, 3]}), mode="append")
    with pytest.raises(ServiceError, match="uses deletionVectors"):
        delta.snapshot(location)


def test_a_name_that_was_taken_back_is_not_there(location: Location) -> None:
    commit(rows(location, n=[1], month=["a"]), made=7)
    commit(rows(location, n=[2], month=["b"]), made=UNDONE)
    assert delta.transactions(location, ["made"]) == {"made": None}
    assert delta.transaction(location, "made", version=0) == 7


def test_deltalake_cleans_up_no_log_by_itself(location: Location) -> None:
    # given entries that are older than deltalake keeps them by default, thirty days
    for number in range(3):
        commit(rows(location, n=[number], month=["a"]))
    DeltaTable(location.uri).alter.set_table_properties({"delta.checkpointInterval": "5"})
    old = time.time() - 60 * 24 * 3600
    for entry in (Path(location.uri) / "_delta_log").glob("*.json"):
        os.utime(entry, (old, old))
    # when commits go on until it has written a checkpoint
    for number in range(3, 9):
        commit(rows(location, n=[number], month=["a"]), replacing="a")
    assert list((Path(location.uri) / "_delta_log").glob("*.checkpoint.parquet"))
    # then the first version can still be opened
    assert delta.snapshot(location, 0) is not None


def test_files_of_a_version_come_in_one_order_before_and_after_a_checkpoint(location: Location) -> None:
    for month in ("z y", "b", "ä", "a"):
        commit(rows(location, n=[1, 2], month=[month] * 2))
    before = delta.existing(location)
    DeltaTable(location.uri).create_checkpoint()
    for entry in (Path(location.uri) / "_delta_log").glob("*.json"):
        if int(entry.stem) < before.version:
            entry.unlink()

    after = delta.existing(location)

    assert [file.path for file in after.files] == sorted(file.path for file in before.files)
    assert delta.read_rows(after) == delta.read_rows(before)
