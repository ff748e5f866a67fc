from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.jobs.contract import JobOrder, emit, run

Work = Callable[[JobOrder, Path], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], int]:
    """Runs the work as a program whose output is `out`."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"arguments": {"a": 1}, "folders": {"model": str(tmp_path)}}))
    monkeypatch.setattr(sys, "argv", ["job", "--spec", str(spec), "--output", str(tmp_path / "out")])
    return run


def test_output_appears_once_the_work_is_done(program, tmp_path):
    def work(order: JobOrder, output: Path) -> None:
        (output / "half").touch()
        assert not (tmp_path / "out").exists()
        assert order == JobOrder({"a": 1}, {"model": tmp_path})

    assert program(work) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["half"]


def test_state_is_a_folder_of_the_jobs_own_where_there_is_one(program, tmp_path, monkeypatch):
    seen = []

    def work(order: JobOrder, output: Path) -> None:
        seen.append(order.state)

    monkeypatch.setattr(sys, "argv", [*sys.argv, "--state", str(tmp_path / "state")])
    assert program(work) == 0
    assert seen == [tmp_path / "state"]


def test_error_leaves_no_output_and_is_the_last_line_of_stderr(program, tmp_path, capsys):
    def work(order: JobOrder, output: Path) -> None:
        (output / "half").touch()
        raise PlatformError("label is 7,\nbut that cannot be", remedy="Mend it")

    assert program(work) == 1
    assert capsys.readouterr().err == "label is 7, but that cannot be. Mend it.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def test_unforeseen_error_leaves_no_output_either(program, tmp_path):
    def work(order: JobOrder, output: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program(work)
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def test_standing_output_is_not_overwritten(program, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert program(lambda *_: None) == 1
    assert "out exists already" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "{", '{"folders": {}}'])
def test_spec_that_cannot_be_read_is_an_error(program, tmp_path, capsys, text):
    (tmp_path / "spec.json").unlink()
    if text is not None:
        (tmp_path / "spec.json").write_text(text)
    assert program(lambda *_: None) == 1
    assert "spec.json is not readable, but must be JSON" in capsys.readouterr().err


def test_events_are_json_lines(capsys):
    emit("progress", "half", 0.5)
    emit("log", "two\nlines")
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [
        {"kind": "progress", "text": "half", "value": 0.5},
        {"kind": "log", "text": "two\nlines", "value": None},
    ]


def test_arguments_are_checked_and_completed():
    order = JobOrder({"label": "late"}, {})
    assert order.checked({"label": str}, {"threads": 1}) == {"label": "late", "threads": 1}
    with pytest.raises(DeclarationError, match="argument seed is absent"):
        order.checked({"label": str, "seed": int}, {})
    with pytest.raises(DeclarationError, match="argument label is given, but the job has none"):
        order.checked({}, {"labels": ""})
    with pytest.raises(DeclarationError, match="argument label is 'late', but it is of type int"):
        order.checked({"label": int}, {})


def test_folder_that_was_not_sent_is_an_error():
    with pytest.raises(DeclarationError, match="folder champion is asked for"):
        JobOrder({}, {"candidate": Path("x")}).folder("champion")
