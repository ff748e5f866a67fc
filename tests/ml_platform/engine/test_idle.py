from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine.idle import Activity, activity, idle
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit
from ml_platform.testing.prediction_log import served
from resources.embedded.prediction_log import EmbeddedPredictionLog

AT = served(0).served_at


def revision(name: str) -> Revision:
    return Revision(name, 1, TrafficSplit({1: 1.0}), {1: "abc"}, "http://127.0.0.1:1", ready=True)


class Hosted:
    """Two endpoints that serve."""

    def describe(self, name: str) -> Revision | None:
        return revision(name) if name in ("delay", "fraud") else None

    def deploy(self, spec: EndpointSpec) -> Revision:
        raise NotImplementedError

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        raise NotImplementedError

    def retire(self, name: str) -> None:
        raise NotImplementedError


@pytest.fixture
def log(tmp_path: Path) -> EmbeddedPredictionLog:
    return EmbeddedPredictionLog(str(tmp_path))


def test_last_request_is_the_latest_of_a_caller(log: EmbeddedPredictionLog) -> None:
    hours = [replace(served(n), served_at=AT + timedelta(hours=n)) for n in range(5)]
    log.append([hours[1], hours[0], replace(hours[3], shadow=True), replace(hours[4], named=True)])
    found = activity(["delay", "fraud", "gone"], Hosted(), log)
    assert found == {
        "delay": Activity(revision("delay"), hours[1].served_at, 4),
        "fraud": Activity(revision("fraud"), None, 0),
    }


def test_log_is_read_on_from_where_it_was_read_to(log: EmbeddedPredictionLog) -> None:
    log.append([served(1), served(2)])
    before = activity(["delay"], Hosted(), log)
    assert activity(["delay"], Hosted(), log, before) == before
    later = replace(served(3), served_at=AT + timedelta(days=1))
    log.append([later])
    assert activity(["delay"], Hosted(), log, before)["delay"] == Activity(revision("delay"), later.served_at, 3)


def test_idle_is_what_had_no_request_for_so_long() -> None:
    found = {
        "late": Activity(revision("late"), AT),
        "busy": Activity(revision("busy"), AT + timedelta(hours=23)),
        "never": Activity(revision("never"), None),
    }
    assert idle(found, AT + timedelta(hours=24), hours=24) == {"never": None}
    assert idle(found, AT + timedelta(hours=24, seconds=1), hours=24) == {"late": AT, "never": None}
