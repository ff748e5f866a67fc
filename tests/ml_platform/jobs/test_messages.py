from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster_pipes import PIPES_PROTOCOL_VERSION

from ml_platform.jobs.messages import Messages
from ml_platform.records.table import Location


def lines(folder: Path) -> list[dict[str, object]]:
    paths = sorted(folder.glob("*.json"), key=lambda path: int(path.stem))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def test_messages_are_those_that_dagster_pipes_reads(tmp_path: Path) -> None:
    with Messages(Location("events", str(tmp_path))) as messages:
        messages.say({"kind": "log", "text": "hello", "value": None})
        messages.close("")
    assert {line["__dagster_pipes_version"] for line in lines(tmp_path)} == {PIPES_PROTOCOL_VERSION}
    assert [line["method"] for line in lines(tmp_path)] == ["opened", "report_custom_message", "closed"]


def test_a_message_leaves_while_the_job_runs(tmp_path: Path) -> None:
    with Messages(Location("events", str(tmp_path))) as messages:
        messages.say({"kind": "log", "text": "early", "value": None})
        deadline = time.monotonic() + 20
        while not (tmp_path / "1.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "early" in (tmp_path / "1.json").read_text()
        messages.say({"kind": "log", "text": "late", "value": None})
    assert "late" in (tmp_path / "2.json").read_text()


def test_an_error_on_the_way_is_the_jobs_last_word(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="disk"), Messages(Location("events", str(tmp_path))):
        raise ValueError("no\ndisk")
    closed = lines(tmp_path)[-1]
    assert closed["method"] == "closed"
    assert closed["params"]["exception"]["message"] == "no disk"


def said(text: str) -> dict[str, object]:
    return {"kind": "log", "text": text, "value": None}


def test_a_chunk_that_cannot_be_written_is_written_later_and_what_follows_it_after_it(tmp_path: Path) -> None:
    # given a store that takes no second chunk: a folder stands where it is to be
    with Messages(Location("events", str(tmp_path))) as messages:
        messages.say(said("first"))
        wait_for(lambda: (tmp_path / "1.json").exists())
        (tmp_path / "2.json" / "in the way").mkdir(parents=True)
        messages.say(said("second"))
        wait_for(lambda: list(tmp_path.glob("2.json.*.writing")) != [])
        # when more is said meanwhile, and the store then takes it
        messages.say(said("third"))
        (tmp_path / "2.json" / "in the way").rmdir()
        (tmp_path / "2.json").rmdir()
        messages.close("why it failed")
    # then everything is there, in its order, in chunks without a gap
    numbers = sorted(int(path.stem) for path in tmp_path.glob("*.json"))
    assert numbers == list(range(1, len(numbers) + 1))
    texts = [line["params"]["payload"]["text"] for line in lines(tmp_path) if "custom" in str(line["method"])]
    assert texts == ["first", "second", "third"]
    assert lines(tmp_path)[-1]["params"]["exception"]["message"] == "why it failed"


def test_a_job_does_not_fail_of_messages_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Messages(Location("events", str(tmp_path))) as messages:
        (tmp_path / "1.json" / "in the way").mkdir(parents=True)
        messages.close("")
    assert "what the job said is lost from chunk 1 on" in capsys.readouterr().err


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
