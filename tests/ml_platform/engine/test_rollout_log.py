from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_platform.engine.rollout import State
from ml_platform.engine.rollout_log import Entry, RolloutLog
from ml_platform.engine.terms import Terms
from ml_platform.errors import ConflictError
from ml_platform.records.feature import FeatureView
from resources.embedded.lakehouse import EmbeddedLakehouse

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
VIEW = FeatureView("plan_v1", entity=("flight_id",), features=("carrier",), ttl_hours=24)
OLD = Terms(1, "aa", {"flight_id": "string"}, (VIEW,))
NEW = Terms(2, "bb", {"flight_id": "string"}, (VIEW,))


@pytest.fixture
def log(tmp_path: Path) -> RolloutLog:
    return RolloutLog(EmbeddedLakehouse(str(tmp_path)).table("endpoints/x__rollout"))


def test_entry_is_read_as_it_was_written_and_the_last_one_counts(log: RolloutLog) -> None:
    assert log.last() is None
    first = log.write(Entry(State(OLD.target, None, "served", since=NOW), OLD, None), NOW)
    assert (first.sequence, log.last()) == (1, first)
    state = State(NEW.target, OLD.target, "rolled back", beside=False, reasons=("Broken: error_share, “5 %”.",))
    second = log.write(Entry(state, NEW, OLD, opened=3, cursor=7, sequence=1), NOW + timedelta(minutes=1))
    assert log.last() == second
    assert second.state == state


def test_latest_entries_are_told_newest_first(log: RolloutLog) -> None:
    entry = Entry(State(NEW.target, OLD.target, "step", share=0.05), NEW, OLD)
    for number in range(3):
        entry = log.write(replace(entry, state=replace(entry.state, share=0.05 * (number + 1))), NOW)
    assert [(row["version"], row["stage"], row["share"]) for row in log.latest(2)] == [
        (2, "step", pytest.approx(0.15)),
        (2, "step", 0.1),
    ]


def test_whoever_writes_behind_an_entry_that_is_not_the_last_is_refused(log: RolloutLog) -> None:
    first = log.write(Entry(State(OLD.target, None, "loaded"), OLD, None), NOW)
    log.write(replace(first, state=replace(first.state, since=NOW)), NOW)
    with pytest.raises(ConflictError, match="entry 2 of endpoints/x__rollout is to be written, but 2 stand"):
        log.write(replace(first, state=replace(first.state, since=NOW)), NOW)
