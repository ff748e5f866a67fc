from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.binding import service
from ml_platform.engine import delta, maintenance
from ml_platform.engine.maintenance import maintain
from ml_platform.engine.staging import GRACE_SECONDS, stage
from ml_platform.engine.table_log import read_log
from ml_platform.errors import AuditError, NotFoundError, ServiceError
from ml_platform.records.table import Location
from ml_platform.records.upkeep import Pin, Upkeep
from ml_platform.testing import concurrent_writers
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

DAY = 24 * 3600
KEY = "bronze/orders"
Append = Callable[..., None]


@pytest.fixture
def location(lakehouse: EmbeddedLakehouse) -> Location:
    return lakehouse.table(KEY)


@pytest.fixture
def append(location: Location) -> Append:
    def append(*ids: int) -> None:
        for number in ids:
            rows = pa.table({"id": [number]})
            staged = stage(rows.to_batches(), rows.schema, location)
            delta.commit(staged, read=delta.snapshot(location), replaced=(), transactions={}, evidence={})

    return append


def test_a_table_is_brought_in_shape_and_says_what_that_saved(
    append: Append, lakehouse: EmbeddedLakehouse, location: Location, compute: EmbeddedCompute
) -> None:
    # given twelve commits of a row each
    append(*range(12))
    before = delta.existing(location)
    # when it is maintained, and again once the retention is over
    first = maintain(Upkeep(KEY, 7), lakehouse, compute, [])
    later = maintain(Upkeep(KEY, 7), lakehouse, compute, [], now=time.time() + 30 * DAY)
    # then one file holds the rows, and what it replaced went when nothing could go back to it any more
    assert (first.files_before, first.files_after, first.checkpoint) == (12, 1, True)
    assert first.swept.files == 0
    assert later.swept.files == 12
    assert later.swept.size_bytes == sum(file.size_bytes for file in before.files)
    assert later.swept.log_entries == 13
    now = delta.existing(location)
    assert sorted(delta.read_rows(now)["id"].to_pylist()) == list(range(12))
    assert delta.fingerprint(now) == delta.fingerprint(before)


def test_rows_are_clustered_by_what_is_declared(
    append: Append, lakehouse: EmbeddedLakehouse, location: Location, compute: EmbeddedCompute
) -> None:
    append(3, 1, 2)
    maintain(Upkeep(KEY, 7, ("id",)), lakehouse, compute, [])
    assert delta.read_rows(delta.existing(location))["id"].to_pylist() == [1, 2, 3]


def test_only_pins_of_the_table_keep_its_versions(
    append: Append, lakehouse: EmbeddedLakehouse, location: Location, compute: EmbeddedCompute
) -> None:
    append(1, 2, 3)
    pins = [Pin("late", 1, "d", KEY, 1), Pin("late", 2, "d", "silver/orders", 0)]
    maintain(Upkeep(KEY, 0), lakehouse, compute, pins)
    done = maintain(Upkeep(KEY, 0), lakehouse, compute, pins, now=time.time() + GRACE_SECONDS + 60)
    assert done.swept.pinned == {1: ("late version 1",)}
    pinned = delta.snapshot(location, 1)
    assert pinned is not None
    assert sorted(delta.read_rows(pinned)["id"].to_pylist()) == [1, 2]


def test_what_cannot_be_maintained_is_one_sentence(
    append: Append, lakehouse: EmbeddedLakehouse, location: Location, compute: EmbeddedCompute
) -> None:
    with pytest.raises(NotFoundError, match="the table bronze/nothing is not there"):
        maintain(Upkeep("bronze/nothing", 7), lakehouse, compute, [])
    append(1, 2, 3)
    with pytest.raises(AuditError, match="bronze/orders has no column day, but it is to be clustered by it"):
        maintain(Upkeep(KEY, 7, ("day",)), lakehouse, compute, [])
    (Path(location.uri) / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(ServiceError, match="the log of the table bronze/orders"):
        maintain(Upkeep(KEY, 7), lakehouse, compute, [])


def test_of_writers_and_maintenance_in_processes_of_their_own_nothing_is_lost_or_doubled() -> None:
    # given four processes that append to one table, five rows each
    lakehouse, compute = service("lakehouse"), service("compute")
    names = [f"writer-{number}" for number in range(concurrent_writers.WRITERS)]
    command = [sys.executable, "-P", "-m", concurrent_writers.__name__]
    count = concurrent_writers.COMMITS
    writers = [subprocess.Popen([*command, name, str(count)], start_new_session=True) for name in names]
    compactions = 0
    try:
        # when the table is maintained for as long as they write, with no retention at all
        while any(writer.poll() is None for writer in writers):
            if delta.snapshot(lakehouse.table(concurrent_writers.TABLE)) is None:
                continue
            done = maintain(Upkeep(concurrent_writers.TABLE, 0), lakehouse, compute, [])
            compactions += bool(done.partitions or done.files_before != done.files_after)
        assert [writer.wait() for writer in writers] == [0] * len(writers)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    # then every row stands once, in a table that was compacted in between
    table = delta.existing(lakehouse.table(concurrent_writers.TABLE))
    rows = [(row["writer"], row["number"]) for row in delta.read_rows(table).to_pylist()]
    assert sorted(rows) == [(name, number) for name in names for number in range(count)]
    assert compactions > 0
    assert table.version == len(names) * count - 1 + compactions
    assert read_log(table.location).faults == []


def test_a_checkpoint_is_written_where_many_commits_stand_since_the_last(
    append: Append, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    append(*range(maintenance._ENTRIES_A_CHECKPOINT - 2))
    assert not maintain(Upkeep(KEY, 7), lakehouse, compute, []).checkpoint
    append(100)
    assert maintain(Upkeep(KEY, 7), lakehouse, compute, []).checkpoint


NO_ROOM_FOR_A_CHECKPOINT = """
import resource, sys
from ml_platform.engine.maintenance import maintain
from ml_platform.errors import ServiceError
from ml_platform.records.upkeep import Upkeep
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
try:
    maintain(Upkeep("bronze/orders", 7), EmbeddedLakehouse(sys.argv[1]), EmbeddedCompute(threads=1), [])
except ServiceError as error:
    print(error)
"""


def test_a_checkpoint_without_room_is_told_and_tried_again(
    append: Append, lakehouse: EmbeddedLakehouse, location: Location, compute: EmbeddedCompute
) -> None:
    append(*range(12))
    root = location.uri.removesuffix(f"/tables/{KEY}")
    command = [sys.executable, "-P", "-c", NO_ROOM_FOR_A_CHECKPOINT, root]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert f"the checkpoint of version 12 of {KEY} could not be written: " in done.stdout
    assert maintain(Upkeep(KEY, 7), lakehouse, compute, []).checkpoint
