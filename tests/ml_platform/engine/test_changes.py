from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from ml_platform.engine import delta
from ml_platform.engine.changes import between, readable
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
    assert readable(location, found)
    (Path(location.uri) / found.came[0].path).unlink()
    assert not readable(location, found)


def test_lost_commit_is_told(lakehouse: EmbeddedLakehouse) -> None:
    location = lakehouse.table("bronze/x")
    last = [added(location, number) for number in (1, 2, 3)][-1]
    (Path(location.uri) / "_delta_log" / f"{1:020}.json").unlink()
    assert between(location, 0, last.version) is None
    assert between(location, 1, last.version) is not None
