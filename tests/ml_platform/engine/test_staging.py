from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_platform.engine import delta, staging
from ml_platform.engine.staging import discard, present, stage, undone_on_failure
from ml_platform.errors import AuditError
from ml_platform.records.table import Location, StagedFiles


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("silver/flights", str(tmp_path / "flights"))


def staged(location: Location, table: pa.Table, *partition_by: str) -> StagedFiles:
    return stage(table.to_batches(), table.schema, location, partition_by)


def test_a_file_is_named_by_its_content(location: Location, tmp_path: Path) -> None:
    (file,) = staged(location, pa.table({"n": [1, 2], "month": ["a", "a"]}), "month").files
    content = (tmp_path / "flights" / file.path).read_bytes()
    assert file.path == f"month=a/{hashlib.sha256(content).hexdigest()}.parquet"
    assert (file.rows, file.size_bytes, file.partition) == (2, len(content), {"month": "a"})


def test_the_same_rows_are_the_same_files_however_they_are_cut_into_batches(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_GROUP_ROWS", 100)
    monkeypatch.setattr(staging, "_FILE_BYTES", 1_500)
    table = pa.table({"n": range(2_000), "t": [f"{i}" for i in range(2_000)], "m": [f"{i % 3}" for i in range(2_000)]})
    wholes = stage(table.to_batches(), table.schema, location, ("m",))
    for size in (1, 7, 99, 100, 101, 1_000):
        cut = stage(table.to_batches(max_chunksize=size), table.schema, location, ("m",))
        assert sorted(file.path for file in cut.files) == sorted(file.path for file in wholes.files)
    assert len(wholes.files) > 3
    assert present(location) == {file.path for file in wholes.files}


def test_a_file_that_stands_is_not_written_again(location: Location, tmp_path: Path) -> None:
    (file,) = staged(location, pa.table({"n": [1]})).files
    before = (tmp_path / "flights" / file.path).stat()
    staged(location, pa.table({"n": [1]}))
    after = (tmp_path / "flights" / file.path).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_large_tables_are_cut_into_files_that_lose_nothing(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_GROUP_ROWS", 50)
    monkeypatch.setattr(staging, "_FILE_BYTES", 2_000)
    table = pa.table({"n": list(range(1_234))})
    files = staged(location, table)
    assert len(files.files) == 3
    assert delta.read_rows(files)["n"].to_pylist() == list(range(1_234))
    assert files.rows == 1_234


def test_row_groups_keep_the_order_within_a_partition(location: Location) -> None:
    table = pa.table({"n": list(range(10)), "m": ["a", "b"] * 5})
    found = {file.partition["m"]: file for file in staged(location, table, "m").files}
    for name, first in (("a", 0), ("b", 1)):
        one = StagedFiles(location, table.schema, ("m",), (found[name],))
        assert delta.read_rows(one, ["n"])["n"].to_pylist() == list(range(first, 10, 2))


def test_no_rows_are_no_file(location: Location) -> None:
    schema = pa.schema([("n", pa.int64())])
    assert stage([], schema, location).files == ()
    assert stage([pa.RecordBatch.from_pylist([], schema)], schema, location).files == ()
    assert present(location) == frozenset()


def test_frames_are_stored_in_types_that_every_reader_knows(location: Location) -> None:
    moment = datetime(2013, 1, 1, 5, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "text": ["a"],
            "category": pl.Series(["b"], dtype=pl.Categorical),
            "small": pl.Series([255], dtype=pl.UInt8),
            "medium": pl.Series([65_535], dtype=pl.UInt16),
            "large": pl.Series([4_294_967_295], dtype=pl.UInt32),
            "bytes": [b"c"],
            "time": pl.Series([moment], dtype=pl.Datetime("ms", "America/New_York")),
            "naive": pl.Series([moment.replace(tzinfo=None)], dtype=pl.Datetime("ns")),
        }
    )
    files = staged(location, frame.to_arrow())
    types = {field.name: str(field.type) for field in files.schema}
    assert types == {
        "text": "string", "category": "string", "small": "int32", "medium": "int32", "large": "int64",
        "bytes": "binary", "time": "timestamp[us, tz=UTC]", "naive": "timestamp[us]",
    }  # fmt: skip
    delta.commit(files, read=None, replaced=(), transactions={}, evidence={})
    assert delta.read_rows(delta.existing(location)).to_pylist() == [
        {
            "text": "a", "category": "b", "small": 255, "medium": 65_535, "large": 4_294_967_295,
            "bytes": b"c", "time": moment, "naive": moment.replace(tzinfo=None),
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        pa.nulls(1),
        pa.array([timedelta(1)], pa.duration("us")),
        pa.array([3_600], pa.time32("s")),
        pa.array([1.0], pa.float16()),
    ],
    ids=str,
)
def test_a_type_that_tables_do_not_hold_is_refused_by_name(location: Location, column: pa.Array) -> None:
    with pytest.raises(AuditError, match="silver/flights has a column odd of type"):
        staged(location, pa.table({"odd": column}))
    assert present(location) == frozenset()


@pytest.mark.parametrize(
    "column", [pa.array([2**63], pa.uint64()), pa.array([1], pa.timestamp("ns"))], ids=["integer", "nanosecond"]
)
def test_a_value_that_would_be_cut_is_refused(location: Location, column: pa.Array) -> None:
    with pytest.raises(AuditError, match="silver/flights has a value that its table cannot hold"):
        staged(location, pa.table({"odd": column}))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**31 - 1], pa.int32()).view(pa.date32()),
        pa.array([-719_163], pa.int32()).view(pa.date32()),
        pa.array([2**63 - 1], pa.int64()).view(pa.timestamp("us", "UTC")),
        pa.array([-719_162 * 24 * 3600 * 10**6 - 1], pa.int64()).view(pa.timestamp("us")),
    ],
    ids=["last date", "year 0", "last timestamp", "year 0 without a zone"],
)
def test_a_moment_outside_the_years_that_readers_take_is_refused(location: Location, column: pa.Array) -> None:
    with pytest.raises(AuditError, match=r"silver/flights has a column at with a .* outside the years 1 to 9999"):
        staged(location, pa.table({"at": column}))


def test_the_first_moment_and_the_last_have_their_statistics(location: Location) -> None:
    moments = pa.array([datetime.min, datetime.max], pa.timestamp("us"))
    (file,) = staged(location, pa.table({"at": moments.cast(pa.timestamp("us", "UTC"))})).files
    assert '"minValues": {"at": "0001-01-01T00:00:00.000000Z"}' in file.statistics
    assert '"maxValues": {"at": "9999-12-31T23:59:59.999999Z"}' in file.statistics


def test_columns_that_differ_in_case_only_are_refused_by_name(location: Location) -> None:
    with pytest.raises(AuditError, match="silver/flights has the columns k and K, but no two columns"):
        staged(location, pa.table({"k": [1], "v": [2], "K": [3]}))


def test_a_failure_half_way_leaves_no_file(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a file that stands already, as one of an older version may
    monkeypatch.setattr(staging, "_GROUP_ROWS", 1)
    monkeypatch.setattr(staging, "_FILE_BYTES", 1)
    table = pa.table({"n": [1]})
    stood = {file.path for file in staged(location, table).files}

    def torn() -> Iterator[pa.RecordBatch]:
        for number in (1, 2, 3):
            yield from pa.table({"n": [number]}).to_batches()
        raise ConnectionError

    # when the rows end in an error after some files were written
    with pytest.raises(ConnectionError):
        stage(torn(), table.schema, location)
    # then the one that stood is left alone
    assert present(location) == stood


def test_what_fails_after_staging_is_undone_but_for_what_stood_or_was_committed(location: Location) -> None:
    first = staged(location, pa.table({"n": [1]}))
    stood = present(location)
    mine = staged(location, pa.table({"n": [1], "m": ["a"]}).select(["n"]))
    other = staged(location, pa.table({"n": [2]}))
    third = staged(location, pa.table({"n": [3]}))
    everything = StagedFiles(location, mine.schema, (), (*mine.files, *other.files, *third.files))
    # somebody commits rows that are also among ours
    delta.commit(other, read=None, replaced=(), transactions={}, evidence={})
    with pytest.raises(AuditError), undone_on_failure(everything, stood):
        raise AuditError("it is so, but it cannot be")
    left = {path for path in present(location) if path.endswith(".parquet")}
    assert left == {file.path for file in (*first.files, *other.files)}
    assert delta.read_rows(delta.existing(location)).to_pylist() == [{"n": 2}]


def test_discarded_files_are_gone_but_for_the_kept(location: Location) -> None:
    files = staged(location, pa.table({"n": [1, 2], "m": ["a", "b"]}), "m")
    kept = files.files[0].path
    discard(files, {kept})
    assert present(location) == {kept}


def test_writers_of_the_same_rows_do_not_tear_each_others_file(location: Location, tmp_path: Path) -> None:
    table = pa.table({"n": list(range(50_000))})
    ready = threading.Barrier(4, timeout=20)
    found: list[StagedFiles] = []

    def write() -> None:
        ready.wait()
        found.append(staged(location, table))

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(found) == 4
    assert {file.path for files in found for file in files.files} == present(location)
    assert pq.read_table(tmp_path / "flights" / found[0].files[0].path).num_rows == 50_000


def test_what_waits_in_memory_is_bounded_however_many_partitions_come(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand rows of a hundred partitions, in turn: nobody fills a row group, so somebody has to make room."""
    monkeypatch.setattr(staging, "_GROUP_ROWS", 50)
    monkeypatch.setattr(staging, "_WAITING_ROWS", 120)
    monkeypatch.setattr(staging, "_OPEN_BYTES", 9_000)
    held: list[tuple[int, int]] = []
    relieve = staging._relieve

    def relieved(writers: dict[tuple[str, ...], staging._PartitionWriter]) -> None:
        relieve(writers)
        held.append((sum(w.waiting_rows for w in writers.values()), sum(w.open_bytes for w in writers.values())))

    monkeypatch.setattr(staging, "_relieve", relieved)
    table = pa.table({"n": range(1_000), "m": [f"{i % 100:02}" for i in range(1_000)]})

    wholes = stage(table.to_batches(), table.schema, location, ("m",))
    cut = stage(table.to_batches(max_chunksize=7), table.schema, location, ("m",))

    assert held
    assert all(rows <= 120 and size <= 9_000 for rows, size in held)
    assert sorted(delta.read_rows(wholes)["n"].to_pylist()) == list(range(1_000))
    assert sorted(file.path for file in cut.files) == sorted(file.path for file in wholes.files)
    assert len(wholes.files) > 100
