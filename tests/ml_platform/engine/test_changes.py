from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from ml_platform.engine import delta
from ml_platform.engine.changes import between, readable, touching
from ml_platform.engine.restore import restore
from ml_platform.engine.staging import stage
from ml_platform.records.table import Location, TableSnapshot
from resources.embedded.lakehouse import EmbeddedLakehouse


def added(location: Location, number: int, replaced: Any = ()) -> TableSnapshot:
    rows = pa.table({"n": [number] * number})
    staged = stage(rows.to_batches(), rows.schema, location)
    delta.commit(staged, read=delta.snapshot(location), replaced=replaced, transactions={}, evidence={})
    return delta.existing(location)


def arranged(location: Location, version: int) -> None:
    """A commit, made to say that it changed no data."""
    path = Path(location.uri) / "_delta_log" / f"{version:020}.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        for action in (line.get("add"), line.get("remove")):
            if action:
                action["dataChange"] = False
    path.write_text("\n".join(json.dumps(line) for line in lines))


def test_commits_are_told_by_what_came_and_what_went(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    first, second = added(location, 1), added(location, 2)
    third = added(location, 3, replaced=first.files)
    found = between(location, 0, third.version)
    assert found is not None
    assert sorted(file.rows for file in found.came) == [2, 3]
    assert [file.path for file in found.went] == [first.files[0].path]
    nothing = between(location, second.version, second.version)
    assert nothing is not None
    assert nothing.came == nothing.went == ()


def test_file_that_came_and_went_in_the_span_is_neither(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    added(location, 1)
    second = added(location, 2)
    fresh = [file for file in second.files if file.rows == 2]
    third = added(location, 3, replaced=fresh)
    found = between(location, 0, third.version)
    assert found is not None
    assert ([file.rows for file in found.came], found.went) == ([3], ())


def test_compaction_changes_nothing_and_what_it_arranged_away_still_came(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    added(location, 1)
    second = added(location, 2)
    third = added(location, 3, replaced=second.files)
    arranged(location, third.version)
    found = between(location, 0, third.version)
    assert found is not None
    assert [file.rows for file in found.came] == [2]
    assert found.went == ()
    assert readable(location, found.came)
    (Path(location.uri) / found.came[0].path).unlink()
    assert not readable(location, found.came)


def test_lost_commit_is_told(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    last = [added(location, number) for number in (1, 2, 3)][-1]
    (Path(location.uri) / "_delta_log" / f"{1:020}.json").unlink()
    assert between(location, 0, last.version) is None
    assert between(location, 1, last.version) is not None


def test_file_that_went_and_came_again_in_the_span_is_neither(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    first = added(location, 1)
    added(location, 2, replaced=first.files)
    last = added(location, 1)
    found = between(location, 0, last.version)
    assert found is not None
    assert ([file.rows for file in found.came], found.went) == ([2], ())


def test_restore_within_the_span_takes_back_what_came_in_it(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    for number in (1, 2, 3):
        added(location, number)
    restore("bronze/x", 1, "3 was wrong", lakehouse)
    found = between(location, 0, 3)
    assert found is not None
    assert ([file.rows for file in found.came], found.went, found.undone) == ([2], (), ())


def test_restore_to_before_the_span_tells_what_it_undid(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    for number in (1, 2):
        added(location, number)
    restore("bronze/x", 0, "2 was wrong", lakehouse)
    added(location, 3)
    found = between(location, 1, 3)
    assert found is not None
    assert [file.rows for file in found.came] == [3]
    assert found.undone == found.went
    assert len(found.went) == 1


def test_restore_to_a_moment_is_taken_to_go_back_before_the_span(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    first = added(location, 1)
    at = DeltaTable(location.uri).history(1)[0]["timestamp"]
    added(location, 2)
    DeltaTable(location.uri).restore(datetime.fromtimestamp(at / 1000, UTC))
    found = between(location, first.version, 2)
    assert found is not None
    assert (found.came, found.went, found.undone) == ((), (), ())
    undone = between(location, 1, 2)
    assert undone is not None
    assert undone.undone == undone.went
    assert len(undone.went) == 1


def test_what_commits_touched_is_told_with_their_versions(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    first, _ = added(location, 1), added(location, 2)
    added(location, 3, replaced=first.files)
    found = touching(location, 0, 2)
    assert found is not None
    assert sorted((version, file.path == first.files[0].path) for version, file in found) == [
        (1, False),
        (2, False),
        (2, True),
    ]
    (Path(location.uri) / "_delta_log" / f"{1:020}.json").unlink()
    assert touching(location, 0, 2) is None
