from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_platform.engine import delta
from ml_platform.engine.logged import collect, expire
from ml_platform.records.prediction import ServedPrediction
from ml_platform.records.table import Location
from resources.embedded.prediction_log import EmbeddedPredictionLog

AT = datetime(2013, 12, 30, 21, 0, tzinfo=UTC)


def served(number: int) -> ServedPrediction:
    return ServedPrediction(
        request_id=f"r-{number}",
        endpoint="late",
        revision=1,
        model_version=3,
        served_at=AT,
        event_time=AT,
        inputs={"flight_id": f"f-{number}"},
        features={"wind": 1.5, "carrier": None},
        views={"plan_v1": None},
        output=0.25,
        latency_ms=1.0,
    )


@pytest.fixture
def log(tmp_path: Path) -> EmbeddedPredictionLog:
    return EmbeddedPredictionLog(str(tmp_path / "log"))


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location("endpoints/late__log", str(tmp_path / "table"))


def test_an_empty_log_is_an_empty_table(log: EmbeddedPredictionLog, location: Location) -> None:
    collected = collect("late", location, log)

    assert collected.snapshot.rows == 0
    assert "features" in collected.snapshot.schema.names


def test_every_record_is_collected_once(log: EmbeddedPredictionLog, location: Location) -> None:
    log.append([served(1), served(2)])
    collect("late", location, log)
    log.append([served(3)])

    collected = collect("late", location, log)

    rows = delta.read_rows(collected.snapshot).sort_by("request_id").to_pylist()
    assert collected.commit.rows_added == 1
    assert [row["request_id"] for row in rows] == ["r-1", "r-2", "r-3"]
    assert json.loads(rows[0]["features"]) == {"wind": 1.5, "carrier": None}


def test_nothing_new_is_unchanged(log: EmbeddedPredictionLog, location: Location) -> None:
    log.append([served(1)])
    first = collect("late", location, log)

    again = collect("late", location, log)

    assert again.commit.unchanged
    assert again.commit.version == first.commit.version


def test_records_of_equal_content_are_all_kept(log: EmbeddedPredictionLog, location: Location) -> None:
    log.append([served(1)])
    collect("late", location, log)
    log.append([served(1)])

    assert collect("late", location, log).snapshot.rows == 2


def test_probabilities_of_classes_are_collected_as_json(log: EmbeddedPredictionLog, location: Location) -> None:
    log.append([replace(served(1), output={"early": 0.25, "late": 0.75})])

    collected = collect("late", location, log, classes=True)

    (row,) = delta.read_rows(collected.snapshot).to_pylist()
    assert json.loads(row["output"]) == {"early": 0.25, "late": 0.75}


def test_failed_answer_is_collected_without_an_output(log: EmbeddedPredictionLog, location: Location) -> None:
    log.append([replace(served(1), error="ServiceError: gone", output=math.nan), replace(served(2), shadow=True)])

    rows = delta.read_rows(collect("late", location, log).snapshot).sort_by("request_id").to_pylist()

    assert [(row["output"], row["error"], row["shadow"]) for row in rows] == [
        (None, "ServiceError: gone", False),
        (0.25, "", True),
    ]


def test_records_of_before_errors_were_logged_are_read_and_collected(tmp_path: Path, location: Location) -> None:
    # given lines as the platform wrote them before, and a table of that time
    fields = {name: value for name, value in asdict(served(1)).items() if name not in ("error", "shadow", "named")}
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "late.jsonl").write_text(json.dumps(fields, default=str) + "\n")

    collected = collect("late", location, EmbeddedPredictionLog(str(tmp_path / "log")))

    (row,) = delta.read_rows(collected.snapshot).to_pylist()
    assert (row["request_id"], row["error"], row["shadow"], row["named"]) == ("r-1", "", False, False)


def test_rows_that_are_old_go_from_table_and_log_and_the_rest_stays(
    log: EmbeddedPredictionLog, location: Location
) -> None:
    # given two days of records in two files, and one of the first day that is not collected yet
    day = timedelta(days=1)
    for group in ([served(1), replace(served(2), served_at=AT + day)], [replace(served(3), served_at=AT + day)]):
        log.append(group)
        collect("late", location, log)
    # when what was served before the second day goes
    assert expire("late", location, log, AT + timedelta(hours=1)) == 1
    # then it is gone, once, and collecting goes on
    assert expire("late", location, log, AT + timedelta(hours=1)) == 0
    log.append([replace(served(4), served_at=AT + day)])
    rows = delta.read_rows(collect("late", location, log).snapshot).sort_by("sequence").to_pylist()
    assert [(row["sequence"], row["request_id"]) for row in rows] == [(2, "r-2"), (3, "r-3"), (4, "r-4")]


def test_what_is_not_collected_yet_does_not_expire(log: EmbeddedPredictionLog, location: Location) -> None:
    collect("late", location, log)
    log.append([served(1)])
    assert expire("late", location, log, AT + timedelta(days=9)) == 0
    assert collect("late", location, log).snapshot.rows == 1
    assert expire("late", location, log, AT + timedelta(days=9)) == 1
    assert delta.existing(location).rows == 0
    assert log.since("late", 0, 10) == ([], 1)
