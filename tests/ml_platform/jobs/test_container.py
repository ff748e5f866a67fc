from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from ml_platform.engine.package import read_json
from ml_platform.engine.remote_jobs import events, reason, write_order
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import DeclarationError
from ml_platform.jobs.container import ENDED_BY_REQUEST, run_order
from ml_platform.records.job import JobSpec
from ml_platform.records.table import Location
from ml_platform.testing import training_set
from ml_platform.testing.job_runner import ENDLESS

RUN = """
import sys
from pathlib import Path
from ml_platform.jobs.container import run_order
from ml_platform.records.table import Location
sys.exit(run_order(Path("order"), Path("output"), Location("events", sys.argv[1])).code)
"""


@pytest.fixture
def said(tmp_path: Path) -> Location:
    return Location("events", str(tmp_path / "events"))


def chunks(said: Location) -> Callable[[int], str | None]:
    def read(number: int) -> str | None:
        path = Path(said.uri) / f"{number}.json"
        return path.read_text() if path.exists() else None

    return read


def ordered(folder: Path, **changes: object) -> Path:
    pin = training_set.write(folder.parent / "table")
    write_order(JobSpec("late@1", "fit", training_set.fit_arguments(pin, **changes)), folder)
    return folder


def test_an_order_is_run_and_what_it_says_leaves_in_chunks(tmp_path: Path, said: Location) -> None:
    ended = run_order(ordered(tmp_path / "order"), tmp_path / "output", said)
    assert (ended.code, ended.reason) == (0, "")
    assert [feature.name for feature in Scorer.load(tmp_path / "output").features] == list(training_set.FEATURES)
    heard = list(events(chunks(said), lambda: True))
    assert {event.text for event in heard if event.kind == "metric"} >= {"test/roc_auc"}
    assert [event.time for event in heard] == sorted(event.time for event in heard)
    assert reason(chunks(said)) == ""


def test_a_program_that_fails_leaves_its_own_words_and_no_output(tmp_path: Path, said: Location) -> None:
    ended = run_order(ordered(tmp_path / "order", label="later"), tmp_path / "output", said)
    assert ended.code == 1
    assert "Did you mean late?" in ended.reason
    assert reason(chunks(said)) == ended.reason
    assert not (tmp_path / "output").exists()


def test_events_are_followed_while_the_job_runs(tmp_path: Path, said: Location) -> None:
    order = ordered(tmp_path / "order", **ENDLESS)
    over = threading.Event()
    child = Popen([sys.executable, "-c", RUN, said.uri], cwd=order.parent, start_new_session=True)
    try:
        first = next(e for e in events(chunks(said), over.is_set, 0.1) if e.kind == "progress")
        assert first.value is not None
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(30) == ENDED_BY_REQUEST
    finally:
        child.kill()
        child.wait()
    assert reason(chunks(said)) == "the job was told to end"
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)


def test_a_search_that_was_killed_goes_on_in_another_attempt(tmp_path: Path) -> None:
    # given an attempt that is killed, machine and all, when three trials are told and kept
    # so many that a busy machine kills it before they are over
    search = {"trials": 400, "seconds": None, "metric": None, "pruning": False}
    space = {"C": {"low": 0.001, "high": 10.0, "log": True}}
    order = ordered(tmp_path / "order", estimator="linear", tune={**search, "space": space})
    first, second = (Location("events", str(tmp_path / "jobs" / name / "events")) for name in ("late-1", "late-2"))
    child = Popen([sys.executable, "-c", RUN, first.uri], cwd=order.parent, start_new_session=True)
    try:
        next(e for e in events(chunks(first), lambda: False, 0.1) if e.text.startswith("trial 3:"))
        kept = tmp_path / "jobs" / "searches"
        while not any(path.read_text().count('"seconds"') >= 3 for path in kept.glob("*/trials.journal")):
            time.sleep(0.1)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    # when the next one runs
    assert run_order(order, tmp_path / "again", second).code == 0
    # then it tries what is left, and nothing is left behind
    trials = [e.text for e in events(chunks(second), lambda: True) if e.text.startswith("trial ")]
    assert 0 < len(trials) < 400
    assert trials[-1].startswith("trial 400:")
    assert len(read_json(tmp_path / "again" / "trials.json")) == 400
    assert not list((tmp_path / "jobs" / "searches").glob("*/*"))


def test_an_order_that_cannot_be_read_is_refused(tmp_path: Path, said: Location) -> None:
    (tmp_path / "order").mkdir()
    with pytest.raises(DeclarationError, match=r"must hold order\.json"):
        run_order(tmp_path / "order", tmp_path / "output", said)
    (tmp_path / "order" / "order.json").write_text('{"program": "os", "arguments": {}, "threads": 1}')
    with pytest.raises(DeclarationError, match="the order's program is 'os', but jobs are fit, score"):
        run_order(tmp_path / "order", tmp_path / "output", said)
