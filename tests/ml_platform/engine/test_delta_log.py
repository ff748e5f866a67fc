from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema

from ml_platform.engine import delta_log
from ml_platform.engine.actions import Change
from ml_platform.engine.staging import present, stage
from ml_platform.errors import ConflictError, ServiceError
from ml_platform.records.table import Location, StagedFiles


def staged(location: Location, *numbers: int) -> StagedFiles:
    rows = pa.table({"n": list(numbers)})
    return stage(rows.to_batches(), rows.schema, location)


def adding(files: StagedFiles) -> Change:
    return Change(files.files, (), {}, {})


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("a/b", str(tmp_path / "table"))


def test_versions_are_numbered_one_by_one(location: Location) -> None:
    assert delta_log.create(staged(location, 1), adding(staged(location, 1))) == 0
    for version in (1, 2):
        table = delta_log.opened(location)
        assert table is not None
        assert delta_log.append(location, table, adding(staged(location, version + 1))) == version
    assert DeltaTable(location.uri).version() == 2


def test_a_table_that_exists_is_not_created_again(location: Location) -> None:
    DeltaTable.create(location.uri, Schema.from_arrow(pa.schema([("other", pa.string())])))
    with pytest.raises(ConflictError, match="a/b was committed to by somebody else while it was being made"):
        delta_log.create(staged(location, 1), adding(staged(location, 1)))
    assert DeltaTable(location.uri).schema().fields[0].name == "other"


def test_an_unrelated_append_makes_a_version_stale_too(location: Location) -> None:
    delta_log.create(staged(location, 1), adding(staged(location, 1)))
    first, second = delta_log.opened(location), delta_log.opened(location)
    assert first is not None
    assert second is not None
    delta_log.append(location, first, adding(staged(location, 2)))
    with pytest.raises(ConflictError, match="since version 0"):
        delta_log.append(location, second, adding(staged(location, 3)))
    with pytest.raises(ConflictError, match="since version 0"):
        delta_log.rewrite(staged(location, 3), second, adding(staged(location, 3)))
    with pytest.raises(ConflictError, match="since version 0"):
        delta_log.add_columns(location, second, pa.schema([("late", pa.string())]))
    assert sorted(DeltaTable(location.uri).to_pyarrow_table()["n"].to_pylist()) == [1, 2]


def test_credentials_do_not_reach_the_log(tmp_path: Path) -> None:
    location = Location("a/b", str(tmp_path / "table"), {"AWS_SECRET_ACCESS_KEY": "canary-1"})
    delta_log.create(staged(location, 1), adding(staged(location, 1)))
    log = (tmp_path / "table" / "_delta_log" / f"{0:020}.json").read_text()
    assert [json.loads(line) for line in log.splitlines()]
    assert "canary-1" not in log


def broken(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])


@pytest.mark.parametrize(
    ("harm", "last"),
    [
        (lambda log: broken(log / f"{3:020}.json", 40), 2),
        (lambda log: broken(log / f"{3:020}.json", 0), 2),
        (lambda log: (log / f"{3:020}.json").write_bytes(b"\xff\x00garbage"), 2),
        (lambda log: broken(log / f"{2:020}.json", 40), 1),
        (lambda log: (log / f"{2:020}.json").unlink(), 1),
        (lambda log: (log / f"{0:020}.json").unlink(), None),
        (lambda log: checkpointed(log).write_bytes(b"garbage"), 2),
        (lambda log: checkpointed(log).unlink(), 2),
    ],
    ids=["torn", "empty", "garbage", "torn within", "lost within", "lost first", "bad checkpoint", "lost checkpoint"],
)
def test_broken_log_is_told_with_the_last_version_that_reads(location: Location, harm: Any, last: int | None) -> None:
    # given four versions of one row each
    delta_log.create(staged(location, 0), adding(staged(location, 0)))
    for number in (1, 2, 3):
        delta_log.append(location, DeltaTable(location.uri), adding(staged(location, number)))
    harm(Path(location.uri) / "_delta_log")
    # then the newest is an error, and not an older table
    said = f"Version {last} is the last" if last is not None else "No version of it"
    with pytest.raises(
        ServiceError, match=rf"the log of the table a/b cannot be read, .*{said} .*can be read|{said} can"
    ):
        delta_log.opened(location)
    # and the last good one still reads
    if last is not None:
        table = delta_log.opened(location, last)
        assert table is not None
        assert len(table.file_uris()) == last + 1


def checkpointed(log: Path) -> Path:
    DeltaTable(log.parent).create_checkpoint()
    return log / f"{3:020}.checkpoint.parquet"


FULL_AT_THE_LOG = """
import resource, sys
import pyarrow as pa
from ml_platform.engine import delta
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location

location = Location("a/b", sys.argv[1])
rows = pa.table({"n": [1, 2]})
read, stood = delta.snapshot(location), present(location)
staged = stage(rows.to_batches(), rows.schema, location)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
try:
    with undone_on_failure(staged, stood):
        delta.commit(staged, read=read, replaced=(), transactions={"x": 2}, evidence={})
except ServiceError as error:
    print(error)
"""


@pytest.mark.parametrize("stands", [True, False], ids=["standing", "new"])
def test_disk_that_is_full_at_the_log_leaves_the_last_version_and_no_stray_file(
    location: Location, stands: bool
) -> None:
    if stands:
        delta_log.create(staged(location, 0), adding(staged(location, 0)))
    before = present(location)
    command = [sys.executable, "-P", "-c", FULL_AT_THE_LOG, location.uri]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "a/b could not be committed, but" in done.stdout
    assert present(location) == before
    table = delta_log.opened(location)
    assert (table is not None and table.version() == 0) if stands else table is None


FULL_AT_THE_CHECKPOINT = """
import resource, sys
import pyarrow as pa
from ml_platform.engine import delta, delta_log
from ml_platform.engine.staging import present, stage
from ml_platform.records.table import Location

location, what = Location("a/b", sys.argv[1]), sys.argv[2]

def commit(number, **more):
    rows = pa.table({"n": [number], **more})
    staged = stage(rows.to_batches(), rows.schema, location)
    return delta.commit(
        staged, read=delta.snapshot(location), replaced=(), transactions={"x": number}, evidence={}
    ).version

for number in range(99):
    assert commit(number) == number
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
if what == "rows":
    assert commit(99) == 99
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert commit(100) == 100
if what == "columns":
    assert commit(99, late=["x"]) == 100
if what == "restore":
    assert delta_log.restore(location, 98, 97, {}, {"restored": {"version": 97}}) == 99
"""


@pytest.mark.parametrize(("what", "stands"), [("rows", (100, 101)), ("columns", (100, 100)), ("restore", (99, 98))])
def test_commit_stands_though_the_checkpoint_behind_it_has_no_room(
    location: Location, what: str, stands: tuple[int, int]
) -> None:
    command = [sys.executable, "-P", "-c", FULL_AT_THE_CHECKPOINT, location.uri, what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not list(Path(location.uri).rglob("*.checkpoint.parquet"))
    table = delta_log.opened(location)
    assert table is not None
    assert (table.version(), len(table.file_uris())) == stands


class PanicException(BaseException):
    """What a panic of the library arrives as."""


def test_a_panic_of_the_library_is_told_like_any_other_error_of_a_log(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panics(*_: Any, **__: Any) -> None:
        raise PanicException("called unwrap on an Err value")

    delta_log.create(staged(location, 1), adding(staged(location, 1)))
    monkeypatch.setattr("deltalake.DeltaTable", panics)
    with pytest.raises(ServiceError, match=r"the log of the table a/b cannot be read, .*: called unwrap on an Err"):
        delta_log.opened(location)
    monkeypatch.setattr("deltalake.DeltaTable", lambda *_, **__: sys.exit(1))
    with pytest.raises(SystemExit):
        delta_log.opened(location)
