from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pyarrow.fs import FileSystem

from ml_platform.engine.files import filesystem
from ml_platform.engine.ingest import Source
from ml_platform.engine.landed import counted, identified, nothing_offered, offered, rows_of
from ml_platform.errors import SourceError
from ml_platform.records.table import Location

NEW_YORK = Source(
    "bronze/weather", "landing/flights", "weather/*.csv", {"at": "timestamp"}, "month", "at", "America/New_York"
)
EVERY = ["2013-01", "2013-02", "2013-03", "2013-11"]


@pytest.fixture
def files(tmp_path: Path) -> FileSystem:
    return filesystem(Location("landing/flights", str(tmp_path)))


def land(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


def test_a_source_is_offered_what_matches_its_pattern_in_order(tmp_path: Path, files: FileSystem) -> None:
    for path in ("weather/b.csv", "weather/a.csv", "weather/a.csv.writing", "planes/a.csv", "Weather/c.csv"):
        land(tmp_path, path, "")
    assert offered(NEW_YORK, files) == ["weather/a.csv", "weather/b.csv"]


def test_a_source_without_files_names_its_pattern_and_what_there_is(tmp_path: Path, files: FileSystem) -> None:
    assert str(nothing_offered(NEW_YORK, files)) == (
        "bronze/weather reads weather/*.csv, but no landed file of landing/flights matches it. "
        "Materialize landing/flights, or mend files in its defs.yaml."
    )
    land(tmp_path, "wether/a.csv", "")
    assert "Landed are wether/a.csv and 0 more" in str(nothing_offered(NEW_YORK, files))


def test_a_file_is_identified_by_its_bytes_a_part_at_a_time(tmp_path: Path, files: FileSystem) -> None:
    content = b"0123456789" * 250_000
    (tmp_path / "large.csv").write_bytes(content)
    found = identified("large.csv", files)
    assert (found.digest, found.size_bytes) == (hashlib.sha256(content).hexdigest()[:32], 2_500_000)


def test_a_file_that_vanished_is_named(files: FileSystem) -> None:
    with pytest.raises(SourceError, match=r"gone\.csv was listed, but it is gone"):
        identified("gone.csv", files)


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        # New York is five hours behind UTC in winter, four in summer.
        ("2013-01-01T05:00:00Z", "2013-01"),
        ("2013-02-01T04:59:59.999999Z", "2013-01"),
        ("2013-02-01T05:00:00Z", "2013-02"),
        ("2013-04-01T03:59:59Z", "2013-03"),
        ("2013-11-01T03:59:59Z", "2013-10"),
        ("2013-11-01T04:00:00Z", "2013-11"),
        ("2013-12-01T04:30:00Z", "2013-11"),
        # The hour that comes twice as summer ends.
        ("2013-11-03T05:30:00Z", "2013-11"),
        ("2013-11-03T06:30:00Z", "2013-11"),
    ],
)
def test_a_timestamp_is_in_the_month_of_its_zone(tmp_path: Path, files: FileSystem, moment: str, month: str) -> None:
    land(tmp_path, "a.csv", f"at\n{moment}\n")
    assert rows_of(NEW_YORK, identified("a.csv", files), files)["month"].to_pylist() == [month]


def test_a_date_is_in_its_own_month_whatever_the_zone(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", "day\n2013-01-31\n2013-02-01\n")
    source = Source("b/d", "l/d", "*", {"day": "date"}, "month", "day", "America/New_York")
    assert rows_of(source, identified("a.csv", files), files)["month"].to_pylist() == ["2013-01", "2013-02"]


def test_rows_are_counted_by_partition(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", "at\n2013-01-05T00:00:00Z\n2013-02-05T00:00:00Z\n2013-01-06T00:00:00Z\n")
    table = rows_of(NEW_YORK, identified("a.csv", files), files)
    assert counted(NEW_YORK, table, EVERY, "a.csv") == {"2013-01": 2, "2013-02": 1}
    whole = Source("b/d", "l/d", "*", {"at": "timestamp"})
    assert counted(whole, rows_of(whole, identified("a.csv", files), files), EVERY, "a.csv") == {"": 3}


def test_a_header_alone_counts_nothing(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", "at\n")
    assert counted(NEW_YORK, rows_of(NEW_YORK, identified("a.csv", files), files), EVERY, "a.csv") == {}


def test_rows_outside_all_partitions_are_refused(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", 'at\n2013-01-05T00:00:00Z\n2012-06-05T00:00:00Z\n""\n')
    table = rows_of(NEW_YORK, identified("a.csv", files), files)
    with pytest.raises(SourceError, match=r"a\.csv has rows whose month is 2012-06, NULL, but there is no such"):
        counted(NEW_YORK, table, EVERY, "a.csv")


def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", "at\n")
    file = identified("a.csv", files)
    land(tmp_path, "a.csv", "at\n2013-01-05T00:00:00Z\n")
    with pytest.raises(SourceError, match=r"a\.csv was written to while it was read"):
        rows_of(NEW_YORK, file, files)
