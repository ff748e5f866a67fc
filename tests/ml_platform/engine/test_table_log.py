from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from ml_platform.engine import delta
from ml_platform.engine.staging import stage
from ml_platform.engine.table_log import read_log, require_whole
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location
from resources.embedded.lakehouse import EmbeddedLakehouse


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("silver/orders", str(tmp_path / "orders"))


@pytest.fixture
def append(location: Location) -> Callable[..., None]:
    """One commit each, of one row; a transaction `batch` says which."""

    def append(*numbers: int) -> None:
        for number in numbers:
            rows = pa.table({"n": [number]})
            staged = stage(rows.to_batches(), rows.schema, location)
            read = delta.snapshot(location)
            delta.commit(staged, read=read, replaced=(), transactions={"batch": number}, evidence={"read": {"a": 7}})

    return append


def entry(location: Location, version: int) -> Path:
    return Path(location.uri) / "_delta_log" / f"{version:020}.json"


def test_each_commit_says_what_it_did(location: Location, append: Callable[..., None]) -> None:
    append(5, 6)
    log = read_log(location)
    first, second = (delta.snapshot(location, version) for version in (0, 1))
    assert first is not None
    assert second is not None
    assert log.entries[0].adds == {file.path for file in first.files}
    assert log.entries[0].adds | log.entries[1].adds == {file.path for file in second.files}
    assert [log.entries[version].transactions for version in (0, 1)] == [{"batch": 5}, {"batch": 6}]
    assert log.entries[1].evidence["read"] == {"a": 7}
    assert log.entries[1].at == pytest.approx(entry(location, 1).stat().st_mtime, abs=5)
    assert (log.first, log.latest, list(log.faults)) == (0, 1, [])


def test_names_of_transactions_outlive_the_entries_that_made_them(
    location: Location, append: Callable[..., None]
) -> None:
    append(1, 2)
    DeltaTable(location.uri).create_checkpoint()
    for version in (0, 1):
        entry(location, version).unlink()
    log = read_log(location)
    assert log.transaction_names() == {"batch"}
    assert (log.first, log.latest, list(log.faults)) == (1, 1, [])


def test_a_gap_is_a_fault(location: Location, append: Callable[..., None]) -> None:
    append(1, 2, 3)
    entry(location, 1).unlink()
    log = read_log(location)
    assert list(log.faults) == ["commit 1 is missing"]
    with pytest.raises(ServiceError, match=r"the log of the table silver/orders is damaged, .*: commit 1 is missing"):
        require_whole(log)


def test_a_beginning_without_a_checkpoint_is_a_fault(location: Location, append: Callable[..., None]) -> None:
    append(1, 2, 3)
    entry(location, 0).unlink()
    assert list(read_log(location).faults) == ["commits before 1 are missing, and there is no checkpoint"]


def test_a_gap_after_a_checkpoint_is_a_fault_though_older_entries_are_cleaned_up(
    location: Location, append: Callable[..., None]
) -> None:
    append(1, 2)
    DeltaTable(location.uri).create_checkpoint()
    append(3, 4)
    entry(location, 0).unlink()
    entry(location, 1).unlink()
    assert list(read_log(location).faults) == []
    entry(location, 2).unlink()
    assert list(read_log(location).faults) == ["commit 2 is missing"]


@pytest.mark.parametrize("content", ['{"add": {"path"', json.dumps({"add": {"size": 1}}), "[1]"])
def test_a_commit_that_cannot_be_parsed_is_a_fault(
    location: Location, append: Callable[..., None], content: str
) -> None:
    append(1, 2)
    entry(location, 1).write_text(content)
    (fault,) = read_log(location).faults
    assert fault.startswith("commit 1 cannot be parsed: ")


def test_where_no_table_is_there_is_no_version(location: Location) -> None:
    log = read_log(location)
    assert (log.latest, log.first, list(log.faults)) == (-1, None, ["there is no commit in it"])


@pytest.mark.parametrize(
    ("version", "old", "new"),
    [
        (0, r"\"name\":\"n\"", r"\"name\":\"m\""),
        (0, r"\"long\"", r"\"date\""),
        (0, '"partitionColumns":["month"]', '"partitionColumns":[]'),
        (0, '"configuration":{}', '"configuration":{"delta.appendOnly":"true"}'),
        (1, '"partitionValues":{"month":"2024-01"}', '"partitionValues":{"month":"2024-02"}'),
        (1, r"\"numRecords\": 1", r"\"numRecords\": 7"),
        (1, '"size":', '"size":1'),
        (2, r"\"name\":\"late\"", r"\"name\":\"lata\""),
        (4, r"\"name\":\"n\"", r"\"name\":\"m\""),
    ],
    ids=["name", "type", "partitioned", "configuration", "partition", "rows", "size", "added column", "rewritten"],
)
def test_a_commit_that_says_otherwise_of_columns_or_files_is_a_fault(
    put: Callable[..., Any], lakehouse: EmbeddedLakehouse, version: int, old: str, new: str
) -> None:
    location = lakehouse.table("silver/months")
    put("silver/months", {"n": [1], "month": ["2024-01"]}, "month")
    for columns, replaces in (({"n": [2]}, False), ({"n": [3], "late": ["x"]}, False), ({"n": ["4"]}, True)):
        rows = pa.table({**columns, "month": ["2024-01"]})
        staged, read = stage(rows.to_batches(), rows.schema, location, ("month",)), delta.existing(location)
        replaced = read.files if replaces else ()
        delta.commit(staged, read=read, replaced=replaced, transactions={}, evidence={})
    assert list(read_log(location).faults) == []
    text = entry(location, version).read_text()
    said, _, rest = text.partition("\n")
    assert old in rest
    entry(location, version).write_text(f"{said}\n{rest.replace(old, new)}")
    assert list(read_log(location).faults) == [f"commit {version} does not hold what was committed"]


def test_a_damaged_checkpoint_whose_names_are_asked_for_is_told(
    location: Location, append: Callable[..., None]
) -> None:
    append(1)
    DeltaTable(location.uri).create_checkpoint()
    (checkpoint,) = Path(location.uri).rglob("*.checkpoint.parquet")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    log = read_log(location)
    with pytest.raises(ServiceError, match=r"silver/orders cannot be read, .*: the checkpoint of version 0 is damaged"):
        log.transaction_names()


def test_a_part_of_a_log_is_not_taken_for_all_of_it(location: Location, append: Callable[..., None]) -> None:
    append(1, 2)
    entry(location, 1).unlink()
    entry(location, 1).mkdir()
    with pytest.raises(ServiceError, match=r"the log of the table silver/orders cannot be read, .*: Cannot open"):
        read_log(location)
