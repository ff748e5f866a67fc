from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.jobs.checkpoint import Checkpoint
from ml_platform.records.table import Location


def test_what_was_kept_is_there_again_until_it_is_forgotten(tmp_path: Path) -> None:
    place = Location("search", str(tmp_path / "kept"))
    with Checkpoint(place, tmp_path / "first") as first:
        (first.folder / "trials.journal").write_text("one\n")
    with Checkpoint(place, tmp_path / "second") as second:
        assert (second.folder / "trials.journal").read_text() == "one\n"
        (second.folder / "trials.journal").write_text("one\ntwo\n")
    with Checkpoint(place, tmp_path / "third") as third:
        assert (third.folder / "trials.journal").read_text() == "one\ntwo\n"
        third.forget()
    with Checkpoint(place, tmp_path / "fourth") as fourth:
        assert list(fourth.folder.iterdir()) == []


def test_a_store_that_fails_costs_what_was_done_and_not_the_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    with Checkpoint(Location("search", str(tmp_path / "kept")), tmp_path / "first") as checkpoint:
        (checkpoint.folder / "trials.journal").write_text("one\n")
    assert "what the job had done is not found again" in capsys.readouterr().err
