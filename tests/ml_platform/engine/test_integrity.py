from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from ml_platform.engine import delta
from ml_platform.engine.compaction import compact
from ml_platform.engine.integrity import Finding, audit, versions_of
from ml_platform.engine.staging import stage
from ml_platform.engine.table_log import read_log
from ml_platform.errors import NotFoundError
from ml_platform.records.table import Location
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

Files = list[Path]


@pytest.fixture
def location(lakehouse: EmbeddedLakehouse) -> Location:
    return lakehouse.table("silver/orders")


@pytest.fixture
def files(put: Callable[..., Any], location: Location) -> Files:
    """The data files of three versions, each of which replaces one of two partitions."""
    found = []
    for number, month in enumerate(("2024-01", "2024-02", "2024-01")):
        snap = put("silver/orders", {"id": [number], "month": [month]}, "month")
        (file,) = (file for file in snap.files if file.partition["month"] == month)
        found.append(Path(location.uri) / file.path)
    return found


def flipped(path: Path, at: int) -> None:
    """One byte is another."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_an_intact_table_has_no_finding(files: Files, location: Location) -> None:
    audited = audit(location, [])
    assert audited.findings == ()
    assert audited.files == 2
    assert audited.size_bytes == sum(path.stat().st_size for path in files[1:])


@pytest.mark.parametrize("at", [4, -5, 200])
def test_one_altered_byte_is_found_wherever_it_is(files: Files, location: Location, at: int) -> None:
    flipped(files[1], at)
    path = files[1].relative_to(location.uri).as_posix()
    assert audit(location, []).findings == (Finding("altered", path, "does not hold what was written", (1, 2)),)


def test_a_missing_file_is_found_with_the_versions_that_hold_it(files: Files, location: Location) -> None:
    files[2].unlink()
    path = files[2].relative_to(location.uri).as_posix()
    assert audit(location, []).findings == (Finding("missing", path, "is missing", (2,)),)


def test_a_file_of_an_older_version_is_read_where_a_model_pins_it(files: Files, location: Location) -> None:
    flipped(files[0], 10)
    assert audit(location, []).findings == ()
    (finding,) = audit(location, [1]).findings
    assert (finding.kind, finding.versions) == ("altered", (0, 1))


def test_a_compacted_file_is_verified_too(location: Location, compute: EmbeddedCompute) -> None:
    for number in range(2):
        rows = pa.table({"id": [number]})
        staged = stage(rows.to_batches(), rows.schema, location)
        delta.commit(staged, read=delta.snapshot(location), replaced=(), transactions={}, evidence={})
    (file,) = compact(delta.existing(location), (), compute).after.files
    assert audit(location, []).findings == ()
    flipped(Path(location.uri) / file.path, 10)
    assert [finding.kind for finding in audit(location, []).findings] == ["altered"]


def test_a_file_of_another_writer_does_not_pass_in_silence(location: Location) -> None:
    write_deltalake(location.uri, pa.table({"n": [1]}))
    (finding,) = audit(location, []).findings
    assert finding.kind == "unverifiable"
    assert finding.told == "is of another writer, which left no digest: it cannot be verified"


def test_a_damaged_log_is_told_and_what_can_be_read_is_read(files: Files, location: Location) -> None:
    DeltaTable(location.uri).create_checkpoint()
    log = Path(location.uri) / "_delta_log"
    (log / f"{1:020}.json").write_text("{")
    flipped(files[2], 10)
    found = audit(location, [])
    assert [finding.kind for finding in found.findings] == ["log", "altered"]
    assert found.findings[0].told.startswith("commit 1 cannot be parsed")


def test_a_missing_commit_is_told(files: Files, location: Location) -> None:
    (Path(location.uri) / "_delta_log" / f"{1:020}.json").unlink()
    found = audit(location, []).findings
    assert found[0] == Finding("log", "", "commit 1 is missing")
    assert found[1].told.startswith("version 2 cannot be opened: ")


def log_of(location: Location, version: int) -> Path:
    return Path(location.uri) / "_delta_log" / f"{version:020}.json"


def unsealed(entry: Path) -> str:
    """What an entry holds, as if another writer had made it, who seals nothing."""
    return re.sub(r',?"sealed":"[^,}]*"', "", entry.read_text())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '"name\\\\":\\\\"id\\\\"',
            '"name\\\\":\\\\"ie\\\\"',
            "has the column id of int64, but the log says that there is none",
        ),
        ('\\\\"long\\\\"', '\\\\"string\\\\"', "has the column id of int64, but the log says string"),
    ],
    ids=["name", "type"],
)
def test_a_log_that_is_another_tables_disagrees_with_the_files(
    files: Files, location: Location, old: str, new: str, told: str
) -> None:
    first = log_of(location, 0)
    text = unsealed(first)
    assert old.replace("\\\\", "\\") in text
    first.write_text(text.replace(old.replace("\\\\", "\\"), new.replace("\\\\", "\\")))
    assert {finding.told for finding in audit(location, []).findings} == {told}


def test_a_file_that_is_said_to_be_of_another_partition_is_found(files: Files, location: Location) -> None:
    entry = log_of(location, 1)
    entry.write_text(
        unsealed(entry).replace('"partitionValues":{"month":"2024-02"}', '"partitionValues":{"month":"2024-03"}')
    )
    (finding,) = audit(location, []).findings
    assert (finding.path, finding.told) == (
        files[1].relative_to(location.uri).as_posix(),
        "is said to be of month=2024-03",
    )


def test_checkpoints_are_held_against_the_commits_before_them(files: Files, location: Location) -> None:
    DeltaTable(location.uri).create_checkpoint()
    (checkpoint,) = Path(location.uri).rglob("*.checkpoint.parquet")
    assert audit(location, []).findings == ()
    whole = checkpoint.read_bytes()
    rows = pq.read_table(checkpoint)
    added = [place for place, add in enumerate(rows["add"].to_pylist()) if add and add["path"]]
    pq.write_table(rows.take([place for place in range(len(rows)) if place != added[0]]), checkpoint)
    assert [it.told for it in audit(location, []).findings] == [
        "the checkpoint of version 2 has 1 files, but the commits before it come to others"
    ]
    checkpoint.write_bytes(whole[:-3])
    assert "the checkpoint of version 2 cannot be read" in audit(location, []).findings[0].told
    checkpoint.write_bytes(whole)
    (checkpoint.parent / "_last_checkpoint").write_text('{"version":99,"size":3}')
    assert "the latest version cannot be opened: " in audit(location, []).findings[0].told


def test_a_pinned_version_that_is_not_there_is_told(files: Files, location: Location) -> None:
    (finding,) = audit(location, [7]).findings
    assert finding.told == "version 7 cannot be opened: the table silver/orders has no version 7."
    assert finding.versions == (7,)


def test_versions_of_files_begin_where_the_log_does(files: Files, location: Location) -> None:
    names = [path.relative_to(location.uri).as_posix() for path in files]
    assert {path: list(found) for path, found in versions_of(read_log(location)).items()} == {
        names[0]: [0, 1],
        names[1]: [1, 2],
        names[2]: [2],
    }


def test_a_table_that_is_not_there_cannot_be_audited(lakehouse: EmbeddedLakehouse) -> None:
    with pytest.raises(NotFoundError, match="the table silver/nothing is not there, but it is to be audited"):
        audit(lakehouse.table("silver/nothing"), [])


def instead(path: Path) -> None:
    """Something stands there, but it is no file that could be read."""
    path.unlink(missing_ok=True)
    path.mkdir()


@pytest.mark.parametrize("version", [0, 2])
def test_a_commit_that_the_store_does_not_give_is_a_finding_with_its_name(
    files: Files, location: Location, version: int
) -> None:
    instead(log_of(location, version))
    (finding,) = audit(location, [1]).findings
    assert (finding.kind, finding.path, finding.versions) == ("log", "", (1,))
    assert "the log of the table silver/orders cannot be read, but every read" in finding.told
    assert log_of(location, version).name in finding.told


def test_a_data_file_that_the_store_does_not_give_is_a_finding(files: Files, location: Location) -> None:
    instead(files[1])
    (finding,) = audit(location, []).findings
    assert (finding.kind, finding.path) == ("unverifiable", files[1].relative_to(location.uri).as_posix())


@pytest.mark.parametrize("harm", [Path.unlink, instead, lambda path: path.write_bytes(b"no rows")])
def test_another_writers_file_whose_rows_cannot_be_counted_is_a_finding(
    location: Location, harm: Callable[[Path], Any]
) -> None:
    write_deltalake(location.uri, pa.table({"n": [1]}))
    log_of(location, 0).write_text(re.sub(r'"stats":"(\\.|[^"\\])*"', '"stats":null', log_of(location, 0).read_text()))
    (path,) = Path(location.uri).glob("*.parquet")
    harm(path)
    (finding,) = audit(location, []).findings
    assert finding.told.startswith(f"version 0 cannot be opened: {path.name} of silver/orders cannot be read")


def test_a_table_that_is_no_folder_is_a_finding(location: Location) -> None:
    Path(location.uri).parent.mkdir(parents=True)
    Path(location.uri).write_text("no table")
    (finding,) = audit(location, []).findings
    assert finding.told.startswith("the log of the table silver/orders cannot be read")


def test_the_last_commit_is_missed_though_a_checkpoint_stands_for_it(files: Files, location: Location) -> None:
    DeltaTable(location.uri).create_checkpoint()
    log_of(location, 2).unlink()
    assert audit(location, []).findings == (Finding("log", "", "commit 2 is missing"),)
