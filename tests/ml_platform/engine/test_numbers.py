from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from ml_platform.engine.numbers import Numbers
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("silver/x", str(tmp_path / "x"))


def commit(location: Location, **kept: int) -> None:
    transactions = [Transaction(name, number) for name, number in kept.items()]
    properties = CommitProperties(app_transactions=transactions)
    write_deltalake(location.uri, pa.table({"n": [1]}), mode="append", commit_properties=properties)


def told(location: Location, version: int) -> dict[str, int | None]:
    """By deltalake itself, and by us."""
    kept, table = Numbers(location, version), DeltaTable(location.uri, version=version)
    found = {name: kept.get(name) for name in ("made", "other", "never")}
    assert found == {name: table.transaction_version(name) for name in found}
    return found


def test_a_version_keeps_the_last_number_under_each_name(location: Location) -> None:
    commit(location, made=1)
    commit(location, made=2, other=9)
    commit(location)

    assert told(location, 0) == {"made": 1, "other": None, "never": None}
    assert told(location, 2) == {"made": 2, "other": 9, "never": None}


def test_numbers_are_read_on_from_a_checkpoint_whose_commits_are_gone(location: Location) -> None:
    for number in range(3):
        commit(location, made=number)
    DeltaTable(location.uri).create_checkpoint()
    commit(location, other=4)
    for gone in range(3):
        (Path(location.uri) / "_delta_log" / f"{gone:020}.json").unlink()

    assert told(location, 2) == {"made": 2, "other": None, "never": None}
    assert told(location, 3) == {"made": 2, "other": 4, "never": None}


def test_a_checkpoint_without_numbers_is_read_too(location: Location) -> None:
    commit(location)
    DeltaTable(location.uri).create_checkpoint()
    commit(location, made=1)

    assert told(location, 1) == {"made": 1, "other": None, "never": None}


def test_a_log_with_other_entries_is_left_to_deltalake(location: Location) -> None:
    # given a checkpoint in two parts, as other writers make them
    for number in range(2):
        commit(location, made=number)
    log = Path(location.uri) / "_delta_log"
    DeltaTable(location.uri).create_checkpoint()
    (log / f"{1:020}.checkpoint.parquet").rename(log / f"{1:020}.checkpoint.0000000001.0000000001.parquet")
    pointer = log / "_last_checkpoint"
    pointer.write_text(pointer.read_text().replace("{", '{"parts":1,', 1))
    (log / f"{0:020}.json").unlink()

    assert told(location, 1)["made"] == 1


def test_a_damaged_commit_is_told_with_its_table(location: Location) -> None:
    # given two lines in one, which deltalake reads
    commit(location, made=1)
    entry = Path(location.uri) / "_delta_log" / f"{0:020}.json"
    entry.write_text(entry.read_text().replace("\n", ""))

    with pytest.raises(ServiceError, match=r"the log of the table silver/x cannot be read, .*: commit 0 is damaged: "):
        Numbers(location, 0).get("made")


def test_a_checkpoint_that_is_of_something_else_is_told_with_its_table(location: Location) -> None:
    commit(location, made=1)
    DeltaTable(location.uri).create_checkpoint()
    (checkpoint,) = Path(location.uri).rglob("*.checkpoint.parquet")
    pq.write_table(pa.table({"txn": [{"appId": "made"}]}), checkpoint)

    with pytest.raises(ServiceError, match=r"silver/x cannot be read, .*: the checkpoint of version 0 is damaged: "):
        Numbers(location, 0).get("made")
