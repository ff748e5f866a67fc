from __future__ import annotations

from pathlib import Path

import pytest

from resources.databricks.testing import driver


def test_a_file_of_a_volume_runs_as_a_program_with_its_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "job.py").write_text("import sys\nprint(__name__, sys.argv[1:])")
    monkeypatch.setenv("ML_PLATFORM_VOLUMES", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["before"])
    driver.main("/Volumes/ml/job.py", "a", "b")
    assert capsys.readouterr().out == "__main__ ['a', 'b']\n"
