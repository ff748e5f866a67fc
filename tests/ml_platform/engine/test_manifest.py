from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.manifest import Entry, Manifest
from ml_platform.engine.staging import stage
from ml_platform.errors import ConflictError
from ml_platform.records.table import Location, TableSnapshot
from resources.embedded.lakehouse import EmbeddedLakehouse

AT = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def location(lakehouse: EmbeddedLakehouse) -> Location:
    return lakehouse.table("bronze/events__manifest")


def entry(path: str, digest: str, partition: str, sequence: int | None) -> Entry:
    return Entry(path, digest, 10, partition, 3, sequence, AT)


def ingested(lakehouse: EmbeddedLakehouse, sequence: int, *found: tuple[str, str, str]) -> TableSnapshot:
    """A batch of the source's table: a row for each file, digest and month."""
    location = lakehouse.table("bronze/events")
    columns = list(zip(*found, strict=True))
    table = pa.table(
        {
            "_source_file": list(columns[0]),
            "_source_digest": list(columns[1]),
            "_sequence": [sequence] * len(found),
            "_ingested_at": pa.array([AT] * len(found), pa.timestamp("us", "UTC")),
            "month": list(columns[2]),
        }
    )
    staged = stage(table.to_batches(), table.schema, location, ("month",))
    before = delta.snapshot(location)
    delta.commit(staged, read=before, replaced=(), transactions={"ingest": sequence}, evidence={})
    return delta.existing(location)


def test_an_empty_manifest_knows_nothing(location: Location) -> None:
    manifest = Manifest.load(location, "month", None)
    assert manifest.lacks("d", ["1"])
    assert not manifest.holds("d", "1")
    assert not manifest.digests_of("a.csv")


def test_what_is_appended_is_known_the_next_time(lakehouse: EmbeddedLakehouse, location: Location) -> None:
    rows = ingested(lakehouse, 1, ("a.csv", "d", "1"))
    Manifest.load(location, "month", None).append([entry("a.csv", "d", "1", 1), entry("a.csv", "d", "2", None)], 1)
    manifest = Manifest.load(location, "month", rows)
    assert set(manifest.digests_of("a.csv")) == {"d"}
    assert manifest.holds("d", "1")
    assert not manifest.holds("d", "2")
    assert [manifest.lacks("d", [month]) for month in ("1", "2", "3")] == [False, True, False]


def test_batches_that_a_crash_kept_out_are_known_from_their_rows(
    lakehouse: EmbeddedLakehouse, location: Location
) -> None:
    # given a batch that was written down and one that was not
    ingested(lakehouse, 1, ("a.csv", "d1", "1"))
    Manifest.load(location, "month", None).append([entry("a.csv", "d1", "1", 1)], 1)
    rows = ingested(lakehouse, 2, ("b.csv", "d2", "1"), ("b.csv", "d2", "1"))
    # then both are held, and the second may hold more than its rows tell
    manifest = Manifest.load(location, "month", rows)
    assert manifest.holds("d1", "1")
    assert manifest.holds("d2", "1")
    assert set(manifest.digests_of("b.csv")) == {"d2"}
    assert not manifest.lacks("d1", ["1"])
    assert manifest.lacks("d2", ["2"])


def test_looking_writes_nothing_and_appending_mends(lakehouse: EmbeddedLakehouse, location: Location) -> None:
    rows = ingested(lakehouse, 1, ("a.csv", "d1", "1"))
    manifest = Manifest.load(location, "month", rows)
    assert delta.snapshot(location) is None
    manifest.append([], 1)
    assert delta.read_rows(delta.existing(location))["digest"].to_pylist() == ["d1"]
    assert delta.transaction(location, "ingest") == 1


def test_a_batch_without_rows_is_accounted_for(lakehouse: EmbeddedLakehouse, location: Location) -> None:
    place = lakehouse.table("bronze/events")
    rows = ingested(lakehouse, 1, ("a.csv", "d1", "1"))
    delta.commit(
        stage([], rows.schema, place, ("month",)), read=rows, replaced=(), transactions={"ingest": 2}, evidence={}
    )
    Manifest.load(location, "month", delta.existing(place)).append([], 2)
    assert delta.transaction(location, "ingest") == 2


def test_nothing_new_makes_no_version(lakehouse: EmbeddedLakehouse, location: Location) -> None:
    rows = ingested(lakehouse, 1, ("a.csv", "d", "1"))
    Manifest.load(location, "month", None).append([entry("a.csv", "d", "1", 1)], 1)
    Manifest.load(location, "month", rows).append([], 1)
    assert delta.existing(location).version == 0


def test_what_no_row_bears_out_is_open_again(lakehouse: EmbeddedLakehouse, location: Location) -> None:
    # given two batches that are written down, of which the second is not in the table any more
    rows = ingested(lakehouse, 1, ("a.csv", "d1", "1"))
    manifest = Manifest.load(location, "month", None)
    manifest.append([entry("a.csv", "d1", "1", 1), entry("b.csv", "d2", "1", 2)], 2)
    # then its file is known, and lacks what it had
    manifest = Manifest.load(location, "month", rows)
    assert (manifest.holds("d1", "1"), manifest.holds("d2", "1")) == (True, False)
    assert manifest.lacks("d2", ["1"])
    assert manifest.knows("d2")
    assert set(manifest.digests_of("b.csv")) == {"d2"}
    # and that is written down, once
    manifest.append([], 1)
    again = Manifest.load(location, "month", rows)
    assert not again.holds("d2", "1")
    assert delta.transaction(location, "ingest") == 1
    assert delta.read_rows(delta.existing(location)).num_rows == 2


def test_of_rows_that_left_quarantine_some_may_be_undone(lakehouse: EmbeddedLakehouse, location: Location) -> None:
    # given a file of which three rows were taken, and one more later, that a restore has undone
    rows = ingested(lakehouse, 1, *[("a.csv", "d1", "1")] * 3)
    late = Entry("a.csv", "d1", 10, "1", 1, 2, AT, replayed=True)
    Manifest.load(location, "month", None).append([entry("a.csv", "d1", "1", 1), late], 2)
    manifest = Manifest.load(location, "month", rows)
    assert not manifest.holds("d1", "1")
    assert manifest.lacks("d1", ["1"])


def test_of_two_writers_one_is_told(location: Location) -> None:
    first, second = (Manifest.load(location, "month", None) for _ in range(2))
    first.append([entry("a.csv", "d", "1", 1)], 1)
    with pytest.raises(ConflictError):
        second.append([entry("b.csv", "e", "1", 1)], 1)


def test_an_unpartitioned_source_has_one_partition_of_no_name(lakehouse: EmbeddedLakehouse, location: Location) -> None:
    rows: Any = ingested(lakehouse, 1, ("a.csv", "d1", "1"))
    assert Manifest.load(location, None, rows).holds("d1", "")
