from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from ml_platform.engine.decisions import decided, record
from ml_platform.engine.retraining import decide
from ml_platform.records.retraining import Decision, Evidence, Policy
from ml_platform.records.table import Location

NOW = datetime(2024, 4, 20, tzinfo=UTC)


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("monitors/returns__retraining", str(tmp_path / "retraining"))


def deciding(*asking: str, champion: int = 1, after_hours: float = 0):
    """What a monitor decides on the same evidence, whatever was decided so far."""

    def work(so_far: tuple[Decision, ...]) -> Decision:
        known = Evidence(
            now=NOW + timedelta(hours=after_hours),
            asking=asking,
            new_labels=5000,
            champion=champion,
            requested=tuple(one.at for one in so_far if one.outcome == "retrain"),
            latest=max((one.at for one in so_far), default=None),
        )
        return decide(Policy(cooldown_hours=24), known, len(so_far) + 1)

    return work


def outcomes(location: Location) -> list[str]:
    return [one.outcome for one in decided(location)]


def test_nothing_is_decided_before_the_first(location: Location) -> None:
    assert decided(location) == ()


def test_decision_is_read_as_it_was_written(location: Location) -> None:
    found, _, commit = record(location, deciding("Drift."))
    assert decided(location) == (found,)
    assert not commit.unchanged


def test_same_decision_is_not_written_again(location: Location) -> None:
    record(location, deciding())
    _, _, commit = record(location, deciding(after_hours=5))
    assert commit.unchanged
    assert outcomes(location) == ["nothing"]


def test_retrain_stands_while_it_cools_down_and_is_asked_for_again_after(location: Location) -> None:
    for after_hours in (0, 1, 23):
        record(location, deciding("Drift.", after_hours=after_hours))
    assert outcomes(location) == ["retrain"]
    record(location, deciding("Drift.", after_hours=25))
    assert outcomes(location) == ["retrain", "retrain"]


def test_new_champion_ends_a_request(location: Location) -> None:
    record(location, deciding("Drift."))
    record(location, deciding("Drift.", champion=2, after_hours=1))
    assert outcomes(location) == ["retrain", "wait"]


def test_of_two_requests_at_once_one_is_made(location: Location) -> None:
    both = Barrier(2)

    def ask(_: int) -> None:
        work, met = deciding("Drift."), []

        def at_once(so_far: tuple[Decision, ...]) -> Decision:
            if not met:
                met.append(both.wait(timeout=10))
            return work(so_far)

        record(location, at_once)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, range(2)))
    assert outcomes(location) == ["retrain"]
