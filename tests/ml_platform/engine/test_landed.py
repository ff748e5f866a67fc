from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSystem

from ml_platform.engine.files import filesystem
from ml_platform.engine.ingest import Source
from ml_platform.engine.landed import counted, nothing_offered, offered, paths, refused, rows_of, strange
from ml_platform.engine.landed_file import identified
from ml_platform.errors import SourceError
from ml_platform.records.table import Location

NEW_YORK = Source(
    "bronze/weather", "landing/flights", "weather/*.csv", {"at": "timestamp"}, "month", "at", "America/New_York"
)
EVERY = ["2013-01", "2013-02", "2013-03", "2013-10", "2013-11"]


@pytest.fixture
def files(tmp_path: Path) -> FileSystem:
    return filesystem(Location("landing/flights", str(tmp_path)))


def months(source: Source, path: str, files: FileSystem) -> list[str]:
    parts = rows_of(source, identified(path, files), files, EVERY)
    return [month for part in parts for month in part.rows["month"].to_pylist()]


def land(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


def test_a_source_is_offered_what_matches_its_pattern_in_order(tmp_path: Path, files: FileSystem) -> None:
    for path in ("weather/b.csv", "weather/a.csv", "weather/a.csv.writing", "planes/a.csv", "Weather/c.csv"):
        land(tmp_path, path, "")
    assert offered(NEW_YORK, files) == ["weather/a.csv", "weather/b.csv"]
    assert offered(replace(NEW_YORK, pattern="weather/*"), files) == ["weather/a.csv", "weather/b.csv"]


def test_a_pattern_takes_no_hidden_file_and_goes_through_folders_where_it_says_so(
    tmp_path: Path, files: FileSystem
) -> None:
    for path in ("weather/a.csv", "weather/.b.csv", "weather/old/c.csv", "weather/.old/d.csv", "planes"):
        land(tmp_path, path, "")
    assert offered(NEW_YORK, files) == ["weather/a.csv"]
    assert offered(replace(NEW_YORK, pattern="**/*.csv"), files) == ["weather/a.csv", "weather/old/c.csv"]
    assert offered(replace(NEW_YORK, pattern="weather/.*"), files) == ["weather/.b.csv"]
    # neither a file of a folder's name nor a way out of the landing is a folder to look into
    for pattern in ("planes/*", "nowhere/*", f"../{tmp_path.name}/weather/*", f"{tmp_path}/weather/*"):
        assert offered(replace(NEW_YORK, pattern=pattern), files) == []


def test_a_source_without_files_names_its_pattern_and_what_there_is(tmp_path: Path, files: FileSystem) -> None:
    assert str(nothing_offered(NEW_YORK, files)) == (
        "bronze/weather reads weather/*.csv, but no landed file of landing/flights matches it. "
        "Materialize landing/flights, or mend files in its defs.yaml."
    )
    land(tmp_path, "wether/a.csv", "")
    assert "Landed are wether/a.csv and 0 more" in str(nothing_offered(NEW_YORK, files))


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
    assert months(NEW_YORK, "a.csv", files) == [month]


def test_a_date_is_in_its_own_month_whatever_the_zone(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", "day\n2013-01-31\n2013-02-01\n")
    source = Source("b/d", "l/d", "*", {"day": "date"}, "month", "day", "America/New_York")
    assert months(source, "a.csv", files) == ["2013-01", "2013-02"]


def test_rows_are_counted_by_partition(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", "at\n2013-01-05T00:00:00Z\n2013-02-05T00:00:00Z\n2013-01-06T00:00:00Z\n")
    assert counted(rows_of(NEW_YORK, identified("a.csv", files), files, EVERY), NEW_YORK) == {
        "2013-01": 2, "2013-02": 1
    }  # fmt: skip
    whole = Source("b/d", "l/d", "*", {"at": "timestamp"})
    assert counted(rows_of(whole, identified("a.csv", files), files, EVERY), whole) == {"": 3}


def test_a_header_alone_counts_nothing(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", "at\n")
    assert counted(rows_of(NEW_YORK, identified("a.csv", files), files, EVERY), NEW_YORK) == {}


def test_rows_outside_all_partitions_are_refused(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", 'at\n2013-01-05T00:00:00Z\n2012-06-05T00:00:00Z\n""\n')
    with pytest.raises(SourceError, match=r"a\.csv has rows whose month is 2012-06, NULL, but there is no such"):
        months(NEW_YORK, "a.csv", files)


def test_rows_outside_all_partitions_are_misfits_where_those_are_quarantined(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", 'at\n2013-01-05T00:00:00Z\n2012-06-05T00:00:00Z\n""\n')
    source = replace(NEW_YORK, misfits="quarantine")
    (part,) = rows_of(source, identified("a.csv", files), files, EVERY)
    assert part.rows["month"].to_pylist() == ["2013-01"]
    assert [(it.offset, it.rule, it.reason) for it in part.misfits] == [
        (1, "partition", "month is 2012-06, but there is no such partition"),
        (2, "partition", "month is NULL, but there is no such partition"),
    ]


@pytest.mark.parametrize(
    ("new_columns", "misfits", "rules"),
    [
        ("fail", "fail", {"type", "partition", "columns"}),
        ("add", "quarantine", {"columns"}),
        ("quarantine", "fail", {"type", "partition"}),
        ("quarantine", "quarantine", set()),
    ],
)
def test_what_is_refused_is_what_is_not_quarantined(new_columns: Any, misfits: Any, rules: set[str]) -> None:
    assert refused(replace(NEW_YORK, new_columns=new_columns, misfits=misfits)) == rules


def test_a_strange_column_has_the_type_that_its_format_gives_it(tmp_path: Path, files: FileSystem) -> None:
    land(tmp_path, "a.csv", "at,more\n2013-01-05T00:00:00Z,1\n")
    assert strange(NEW_YORK, "a.csv", files) == {"more": "string"}
    land(tmp_path, "a.jsonl", '{"more": 1}\n{"more": 2.5, "flag": true}\n')
    assert strange(NEW_YORK, "a.jsonl", files) == {"more": "float64", "flag": "boolean"}
    pq.write_table(pa.table({"at": [1], "more": pa.array([1], pa.int16())}), tmp_path / "a.parquet")
    assert strange(NEW_YORK, "a.parquet", files) == {"more": "int32"}
    pq.write_table(pa.table({"deep": [[1]]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"b\.parquet has a new column deep of a type that no column has"):
        strange(NEW_YORK, "b.parquet", files)


def test_a_name_that_is_no_utf_8_is_told(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")).write_bytes(b"n\n1\n")
    with pytest.raises(SourceError, match=r"caf\\udce9\.csv' is the name of a file, but it is no UTF-8"):
        paths(filesystem(Location("landing/shop", str(tmp_path))))
