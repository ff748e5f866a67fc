from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema

from ml_platform.engine import delta_log
from ml_platform.engine.staging import stage
from ml_platform.errors import ConflictError
from ml_platform.records.table import Location, StagedFiles


def staged(location: Location, *numbers: int) -> StagedFiles:
    rows = pa.table({"n": list(numbers)})
    return stage(rows.to_batches(), rows.schema, location)


def adding(files: StagedFiles) -> delta_log.Change:
    return delta_log.Change(files.files, (), {}, {})


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
