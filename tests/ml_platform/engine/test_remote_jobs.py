from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from ml_platform.engine.remote_jobs import events, fingerprint, job_name, reason, write_order
from ml_platform.jobs.messages import Messages
from ml_platform.records.job import JobEvent, JobSpec, Needs
from ml_platform.records.table import Location


def test_a_fingerprint_is_of_what_the_job_does(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "rows").write_text("1")
    spec = JobSpec("x", "score", {"n": 1}, {"rows": str(tmp_path / "a")})
    before = fingerprint(spec)
    assert fingerprint(JobSpec("y", "score", {"n": 1}, {"rows": str(tmp_path / "a")})) == before
    (tmp_path / "a" / "rows").write_text("2")
    assert fingerprint(spec) != before
    assert fingerprint(JobSpec("x", "score", {"n": 2}, {"rows": str(tmp_path / "a")})) != fingerprint(spec)


def test_a_jobs_name_fits_and_is_its_own() -> None:
    names = [job_name("dev-1", f"fit-arrival_delay-{'0' * 40}{n}", 63) for n in range(3)]
    assert len(set(names)) == 3
    assert all(len(name) <= 63 and name.startswith("dev-1-fit-arrival-delay-") for name in names)
    assert job_name("dev-1", "x", 63) != job_name("prod", "x", 63)


def test_an_order_holds_all_that_its_job_needs(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.parquet").write_text("rows")
    spec = JobSpec("x", "score", {"n": 1}, {"rows": str(tmp_path / "rows")}, Needs(cpu=2.5))
    write_order(spec, tmp_path / "order")
    assert json.loads((tmp_path / "order" / "order.json").read_text()) == {
        "program": "score",
        "arguments": {"n": 1},
        "threads": 2,
    }
    assert (tmp_path / "order" / "folders" / "rows" / "a.parquet").read_text() == "rows"


def test_what_a_job_said_before_it_was_killed_is_heard(tmp_path: Path) -> None:
    with Messages(Location("events", str(tmp_path))) as messages:
        messages.say({"kind": "metric", "text": "rows", "value": 3.0})

    def read(number: int) -> str | None:
        path = tmp_path / f"{number}.json"
        return path.read_text() if path.exists() else None

    (heard,) = events(read, lambda: True)
    assert heard == JobEvent(heard.time, "metric", "rows", 3.0)
    assert abs((datetime.now(UTC) - heard.time).total_seconds()) < 60
    assert reason(read) == ""
