from __future__ import annotations

import math
import time
from datetime import UTC, datetime

from ml_platform.jobs.serving.protocol import InferRequest
from ml_platform.jobs.serving.record import Answer, Taken

AT = datetime(2013, 12, 30, 21, tzinfo=UTC)
REQUEST = InferRequest("mine", {"flight_id": ["UA1", "B62"]}, [AT, AT])
ANSWER = Answer([1, 2], [0.25, 0.75], [{"wind": 1.0}, {"wind": None}], {"weather_v1": [AT, None]})


def taken() -> Taken:
    return Taken.now("delay", 3, REQUEST, named=False, started=time.perf_counter())


def test_each_row_has_a_record_with_an_id_of_its_own() -> None:
    first, second = taken().answered(ANSWER)
    assert (first.endpoint, first.revision, first.event_time, first.error) == ("delay", 3, AT, "")
    assert (second.inputs, second.features, second.output) == ({"flight_id": "B62"}, {"wind": None}, 0.75)
    assert (first.views, second.views) == ({"weather_v1": AT.isoformat()}, {"weather_v1": None})
    assert (first.model_version, second.model_version) == (1, 2)
    assert first.request_id != second.request_id
    assert 0 <= first.latency_ms < 60_000


def test_an_answers_rows_can_be_told_apart() -> None:
    assert ANSWER.only(slice(1, 2)) == Answer([2], [0.75], [{"wind": None}], {"weather_v1": [None]})


def test_shadow_keeps_the_ids_of_what_it_is_a_copy_of() -> None:
    mine = taken()
    records = mine.shadowed(ANSWER, time.perf_counter())
    assert [record.request_id for record in records] == list(mine.ids)
    assert all(record.shadow for record in records)


def test_failure_has_the_inputs_and_no_answer() -> None:
    first, second = taken().failed([1, 1], ValueError("no store"))
    assert (first.inputs, second.inputs) == ({"flight_id": "UA1"}, {"flight_id": "B62"})
    assert (first.error, first.features, first.views) == ("ValueError: no store", {}, {})
    assert isinstance(first.output, float)
    assert math.isnan(first.output)
