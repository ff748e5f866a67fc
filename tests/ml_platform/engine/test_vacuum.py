from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from ml_platform.engine import delta
from ml_platform.engine import vacuum as vacuums
from ml_platform.engine.staging import GRACE_SECONDS, present, stage
from ml_platform.engine.table_log import read_log
from ml_platform.engine.vacuum import is_left_whole, is_mark, retained, sweep
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.table import Location
from ml_platform.records.upkeep import Pin, Swept

DAY = 24 * 3600
Grown = Callable[[int], list[int]]


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("training_sets/late", str(tmp_path / "late"))


@pytest.fixture
def grown(location: Location) -> Grown:
    """Versions of one row each, every one in the place of the one before; what each holds."""

    def grown(count: int) -> list[int]:
        for number in range(count):
            rows = pa.table({"n": [number]})
            staged = stage(rows.to_batches(), rows.schema, location)
            read = delta.snapshot(location)
            replaced = read.files if read else ()
            delta.commit(staged, read=read, replaced=replaced, transactions={"made": number}, evidence={})
        return list(range(count))

    return grown


def vacuum(location: Location, days: float = 7, pins: Sequence[Pin] = (), after: float = 30 * DAY) -> Swept:
    """As it is some time after now."""
    return sweep(location, days, pins, time.time() + after)


def holds(location: Location, version: int) -> list[int]:
    found = DeltaTable(location.uri, version=version).to_pyarrow_table()["n"].to_pylist()
    return [int(n) for n in found]


def data(location: Location) -> set[str]:
    return {path for path in present(location) if not path.startswith("_delta_log/")}


def pin(version: int, number: int = 1) -> Pin:
    return Pin("late", number, "digest", "training_sets/late", version)


def test_files_that_no_retained_version_names_are_gone(location: Location, grown: Grown) -> None:
    grown(4)
    swept = vacuum(location)
    assert swept.files == 3
    assert data(location) == {file.path for file in delta.existing(location).files}
    assert holds(location, 3) == [3]


def test_versions_within_the_retention_stay_readable(location: Location, grown: Grown) -> None:
    grown(3)
    assert vacuum(location, days=31).files == 0
    assert [holds(location, version) for version in range(3)] == [[0], [1], [2]]


def test_a_version_is_retained_from_when_another_took_its_place(location: Location, grown: Grown) -> None:
    # given version 1, which stood for long, and of which version 2 took the place a day ago
    grown(3)
    log, now = read_log(location), time.time() + 30 * DAY
    old = {version: _at(log.entries[version], now - 20 * DAY) for version in (0, 1)}
    entries = {**log.entries, **old, 2: _at(log.entries[2], now - DAY)}
    # then it can be gone back to, and version 0 cannot
    assert retained(type(log)(location, entries, {}, ()), 7, (), now) == (1, {})


def _at(entry: object, at: float) -> object:
    from dataclasses import replace

    return replace(entry, at=at)  # type: ignore[type-var]


def test_a_version_that_a_model_pins_survives_and_says_for_whom(location: Location, grown: Grown) -> None:
    grown(5)
    swept = vacuum(location, days=0, pins=[pin(1), pin(1, 2), pin(3)])
    assert swept.files == 2
    assert swept.pinned == {1: ("late version 1", "late version 2"), 3: ("late version 1",)}
    assert [holds(location, version) for version in (1, 3, 4)] == [[1], [3], [4]]


def test_a_pinned_version_can_be_opened_after_the_log_was_cleaned_up(location: Location, grown: Grown) -> None:
    # given checkpoints at two versions, and a pin in between
    grown(3)
    DeltaTable(location.uri).create_checkpoint()
    grown(4)
    DeltaTable(location.uri).create_checkpoint()
    grown(2)
    # when it is swept long after
    swept = vacuum(location, days=0, pins=[pin(4)])
    # then only what stands before the checkpoint that it is opened from has gone
    assert swept.log_entries == 3
    assert (read_log(location).first, swept.first) == (2, 4)
    assert holds(location, 4) == [1]
    assert holds(location, delta.existing(location).version) == [1]
    # and without the pin the log begins later
    assert vacuum(location, days=0).log_entries == 5
    assert read_log(location).first == 6
    with pytest.raises(NotFoundError, match="has no version 4"):
        delta.snapshot(location, 4)


def test_application_transactions_survive(location: Location, grown: Grown) -> None:
    grown(3)
    DeltaTable(location.uri).create_checkpoint()
    vacuum(location, days=0)
    assert delta.transaction(location, "made") == 2


def test_files_that_were_never_committed_are_gone_but_not_young_ones(location: Location, grown: Grown) -> None:
    grown(1)
    rows = pa.table({"n": [7]})
    staged = stage(rows.to_batches(), rows.schema, location)
    half = Path(location.uri) / f"{'a' * 64}.parquet.{'b' * 32}.writing"
    half.write_bytes(b"half")
    assert vacuum(location, after=GRACE_SECONDS - 60).files == 0
    assert vacuum(location, after=GRACE_SECONDS + 60).files == 2
    assert data(location) == {file.path for file in delta.existing(location).files}
    assert staged.files[0].path not in present(location)


def test_what_is_no_data_file_stays(location: Location, grown: Grown) -> None:
    grown(1)
    kept = ["README.md", "_change_data/cdc-1.parquet", ".part.parquet.crc"]
    for name in kept:
        (Path(location.uri) / name).parent.mkdir(exist_ok=True)
        (Path(location.uri) / name).write_bytes(b"kept")
    vacuum(location)
    assert set(kept) <= data(location)


def test_a_file_that_is_wanted_again_is_young_again(location: Location, grown: Grown) -> None:
    # given a file that only an old version names
    grown(2)
    old = delta.snapshot(location, 0)
    assert old is not None
    path = Path(location.uri) / old.files[0].path
    os.utime(path, (time.time() - 30 * DAY,) * 2)
    for entry in (Path(location.uri) / "_delta_log").glob("*.json"):
        entry.write_text(re.sub(r'"timestamp":\d+', '"timestamp":1', entry.read_text()))
    # when its rows are staged again, and swept before they are committed
    rows = pa.table({"n": [0]})
    staged = stage(rows.to_batches(), rows.schema, location)
    assert staged.files[0].path == old.files[0].path
    sweep(location, 0, (), time.time())
    # then they are there to be committed
    now = delta.existing(location)
    delta.commit(staged, read=now, replaced=now.files, transactions={}, evidence={})
    assert holds(location, 2) == [0]


def test_nothing_is_removed_where_a_pinned_version_cannot_be_opened(location: Location, grown: Grown) -> None:
    grown(3)
    DeltaTable(location.uri).create_checkpoint()
    for version in range(3):
        (Path(location.uri) / "_delta_log" / f"{version:020}.json").unlink()
    before = data(location)
    with pytest.raises(ServiceError, match=r"version 1 of training_sets/late cannot be opened, .* for late version 1"):
        vacuum(location, days=0, pins=[pin(1)])
    assert data(location) == before


def test_nothing_is_removed_by_a_damaged_log(location: Location, grown: Grown) -> None:
    grown(3)
    (Path(location.uri) / "_delta_log" / f"{1:020}.json").unlink()
    before = data(location)
    with pytest.raises(ServiceError, match="commit 1 is missing"):
        vacuum(location, days=0)
    assert data(location) == before


def test_what_a_table_has_yet_to_read_stays_and_says_for_whom(location: Location, grown: Grown) -> None:
    # given tables that have read versions 2 and 6 of a table, and files that came since
    grown(3)
    DeltaTable(location.uri).create_checkpoint()
    grown(4)
    DeltaTable(location.uri).create_checkpoint()
    waiting = {"silver/behind": 2, "silver/new": 6}
    # when it is swept long after
    swept = sweep(location, 0, (), time.time() + 30 * DAY, waiting)
    # then the commits since and their files are there, and what it has read is not
    assert swept.unread == {2: ("silver/behind",)}
    assert 3 in read_log(location).entries
    every = read_log(location).entries
    assert {path for version in (3, 4, 5, 6) for path in every[version].adds} <= data(location)
    # and once it has read on, both go
    assert sweep(location, 0, (), time.time() + 30 * DAY, {"silver/behind": 6}).unread == {}
    assert len(data(location)) == 1


def test_a_commit_says_from_which_version_on_files_stay(location: Location, grown: Grown) -> None:
    grown(4)
    assert is_left_whole(location, 0, 3)
    vacuum(location, days=0, pins=[pin(1)])
    now = delta.existing(location)
    assert (now.version, holds(location, 4)) == (4, [3])
    assert [is_left_whole(location, version, 4) for version in range(5)] == [False, True, False, True, True]
    assert all(is_mark(name) for name in read_log(location).entries[4].transactions)
    # and where nothing goes, there is none; a pin that was let go is not kept for ever
    vacuum(location, days=0, pins=[pin(1)])
    assert delta.existing(location).version == 4
    vacuum(location, days=0)
    assert [is_left_whole(location, version, 5) for version in (1, 4)] == [False, True]
    assert not is_mark("made")


def test_a_vacuum_looks_again_where_somebody_committed_since_it_looked(
    location: Location, grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an old version that is put back between a vacuum's look and its commit
    grown(2)
    old = delta.snapshot(location, 0)
    assert old is not None
    whole, calls = vacuums._announce, []

    def announce(look: object) -> None:
        if not calls:
            DeltaTable(location.uri).restore(0)
        calls.append(look)
        whole(look)  # type: ignore[arg-type]

    monkeypatch.setattr(vacuums, "_announce", announce)
    # then its files stay, and those of the other version go
    assert vacuum(location, days=0).files == 1
    assert len(calls) == 2
    assert holds(location, delta.existing(location).version) == [0]


def test_without_any_retention_a_version_stays_as_long_as_someone_may_be_reading_it(
    location: Location, grown: Grown
) -> None:
    grown(3)
    DeltaTable(location.uri).create_checkpoint()
    for path in data(location):
        os.utime(Path(location.uri) / path, (time.time() - 30 * DAY,) * 2)
    swept = vacuum(location, days=0, after=GRACE_SECONDS - 60)
    assert (swept.files, swept.log_entries) == (0, 0)
    assert [holds(location, version) for version in range(3)] == [[0], [1], [2]]
