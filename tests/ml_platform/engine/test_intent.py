from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.intent import Intended, about_to, planned, planning
from ml_platform.engine.staging import stage
from ml_platform.records.table import Location, TableSnapshot

ROWS = pa.table({"number": [1, 2]})


def _made(folder: Path) -> TableSnapshot:
    location = Location("silver/numbers", str(folder / "numbers"))
    staged = stage(ROWS.to_batches(), ROWS.schema, location)
    delta.commit(staged, read=None, replaced=(), transactions={"made": 1}, evidence={})
    return delta.existing(location)


def test_only_a_plan_stops_whoever_is_about_to_write() -> None:
    about_to("create", "outside of a plan")
    with planning():
        assert planned()
        with pytest.raises(Intended) as stopped:
            about_to("change", "inside")
    assert not planned()
    assert (stopped.value.effect, stopped.value.why) == ("change", "inside")
    assert not isinstance(stopped.value, Exception)  # nobody takes it for a failure that may be gone on from


def test_a_plan_makes_no_folder_and_stages_no_row(tmp_path: Path) -> None:
    location = Location("silver/numbers", str(tmp_path / "numbers"))
    with planning():
        filesystem(location)
        with pytest.raises(Intended, match="rows are to be written"):
            stage(ROWS.to_batches(), ROWS.schema, location)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_writes_no_file_and_commits_nothing(tmp_path: Path) -> None:
    made = _made(tmp_path)
    stood = sorted(tmp_path.rglob("*"))
    with planning():
        with pytest.raises(Intended):
            put(filesystem(made.location), "note.txt", b"text")
        with pytest.raises(Intended):
            delta.commit(made, read=made, replaced=(), transactions={"made": 2}, evidence={})
        unchanged = delta.commit(made, read=made, replaced=made.files, transactions={"made": 1}, evidence={})
    assert unchanged.unchanged
    assert sorted(tmp_path.rglob("*")) == stood
