from __future__ import annotations

import json
import time
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
