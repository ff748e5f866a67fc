from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine import rollout_guards
from ml_platform.engine.rollout import Guards
from ml_platform.engine.rollout_guards import Answers, answers, end_of, findings, tail_of
from ml_platform.records.prediction import ServedPrediction
from resources.embedded.prediction_log import EmbeddedPredictionLog

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def record(version: int, output: Any = 0.5, **more: Any) -> ServedPrediction:
    given = {"latency_ms": 2.0, **more}
    return ServedPrediction("r", "x", 1, version, NOW, NOW, {}, {}, {}, output, **given)


def taken(records: Sequence[ServedPrediction], version: int = 2, *, shadow: bool = False) -> Answers:
    found = Answers()
    found.take_all(records, version, shadow=shadow)
    return found


def verdicts(guards: Guards, target: Answers, before: Answers | None = None) -> dict[str, bool | None]:
    return {each.guard: each.passed for each in findings(guards, target, before or Answers())}


def test_guard_that_is_not_declared_is_not_looked_at() -> None:
    assert verdicts(Guards(), taken([record(2)])) == {}


def test_error_share_is_of_all_requests_and_may_be_what_is_allowed() -> None:
    guards = Guards(error_share=0.02, minimum_requests=100)
    fine = [record(2)] * 98
    assert verdicts(guards, taken([*fine, *[record(2, error="boom")] * 2])) == {"error_share": True}
    assert verdicts(guards, taken([*fine, *[record(2, error="boom")] * 3])) == {"error_share": False}


def test_latency_is_the_nearest_rank_and_of_answers_alone() -> None:
    guards = Guards(latency_p99_ms=10.0, minimum_requests=100)
    slow = [record(2, latency_ms=50.0)]
    assert verdicts(guards, taken([*[record(2)] * 99, *slow])) == {"latency_p99_ms": True}
    assert verdicts(guards, taken([*[record(2)] * 98, *slow * 2])) == {"latency_p99_ms": False}
    failed = [record(2, error="boom", latency_ms=9_000.0)] * 50
    assert verdicts(guards, taken([*[record(2)] * 100, *failed])) == {"latency_p99_ms": True}


def test_drift_is_of_predictions_or_of_the_likeliest_classes() -> None:
    guards = Guards(prediction_drift=0.2, minimum_requests=100)
    before = taken([record(1, number / 100) for number in range(100)], 1)
    assert verdicts(guards, taken([record(2, number / 100) for number in range(100)]), before) == {
        "prediction_drift": True
    }
    moved = taken([record(2, number / 200) for number in range(100)])
    assert verdicts(guards, moved, before) == {"prediction_drift": False}
    some = {"a": 0.6, "b": 0.4}
    other = {"a": 0.4, "b": 0.6}
    classes = taken([record(1, some)] * 100, 1)
    assert verdicts(guards, taken([record(2, some)] * 100), classes) == {"prediction_drift": True}
    assert verdicts(guards, taken([record(2, other)] * 100), classes) == {"prediction_drift": False}


@pytest.mark.parametrize("guard", ["error_share", "latency_p99_ms", "prediction_drift"])
def test_too_few_answers_conclude_nothing_however_bad_they_are(guard: str) -> None:
    guards = Guards(**{guard: 0.001}, minimum_requests=100)  # type: ignore[arg-type]
    many = taken([record(1)] * 500, 1)
    few = taken([record(2, 0.9, latency_ms=900.0)] * 99)
    assert verdicts(guards, few, many) == {guard: None}
    assert verdicts(Guards(**{guard: 0.001}, minimum_requests=0), Answers(), many) == {guard: None}  # type: ignore[arg-type]


def test_drift_waits_for_the_champion_as_well() -> None:
    (found,) = findings(Guards(prediction_drift=0.1), taken([record(2)] * 200), taken([record(1)] * 7, 1))
    assert (found.passed, found.said) == (
        None,
        "prediction_drift waits for 100 answers of both versions, and has 7.",
    )


def test_evidence_is_traffic_of_the_stage_and_of_the_version_before(tmp_path: Path) -> None:
    log = EmbeddedPredictionLog(str(tmp_path))
    log.append([record(1)] * 3 + [record(2)] * 5)
    cursor = end_of(log, "x", 0)
    log.append([record(1)] * 2 + [record(2)] * 4 + [record(2, named=True)] * 10 + [record(2, shadow=True)] * 6)
    target, before = answers(log, "x", 0, cursor, (2, 1), shadow=False)
    assert (target.requests, before.requests) == (4, 5)
    copied, _ = answers(log, "x", 0, cursor, (2, 1), shadow=True)
    assert copied.requests == 6
    assert end_of(log, "x", cursor) > cursor


def test_little_more_is_read_than_a_look_takes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_guards, "_PAGE", 2)
    monkeypatch.setattr(rollout_guards, "_KEPT", 4)
    log = EmbeddedPredictionLog(str(tmp_path))
    log.append([record(1, number / 20) for number in range(19)])
    found, _ = log.since("x", tail_of(log, "x", 0), 100)
    assert 4 <= len(found) <= 8
    assert found[-1].output == 18 / 20
    assert tail_of(log, "x", end_of(log, "x", 0)) == end_of(log, "x", 0)
