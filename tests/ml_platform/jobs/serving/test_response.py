from __future__ import annotations

import time
from datetime import UTC, datetime

import orjson

from ml_platform.jobs.serving.protocol import InferRequest
from ml_platform.jobs.serving.record import Answer, Taken
from ml_platform.jobs.serving.response import written_response

AT = datetime(2013, 12, 30, 21, tzinfo=UTC)


def taken(request_id: str | None) -> Taken:
    request = InferRequest(request_id, {"flight_id": ["UA1", "B62"]}, [AT, AT])
    return Taken.now("delay", 3, request, named=False, started=time.perf_counter())


def test_answer_names_its_versions_and_records() -> None:
    mine = taken("mine")
    answer = orjson.loads(written_response(mine, Answer([2, 1], [0.25, 0.75], [{}, {}], {}), "binary", ()))
    assert answer == {
        "model_name": "delay",
        "model_version": "1,2",
        "id": "mine",
        "outputs": [{"name": "probability", "shape": [2], "datatype": "FP64", "data": [0.25, 0.75]}],
        "parameters": {"revision": 3, "request_ids": mine.ids, "model_versions": [2, 1]},
    }


def test_request_without_an_id_gets_the_one_of_its_rows() -> None:
    mine = taken(None)
    answer = orjson.loads(written_response(mine, Answer([1, 1], [0.5, 0.5], [{}, {}], {}), "binary", ()))
    assert mine.ids == [f"{answer['id']}-0", f"{answer['id']}-1"]


def test_probabilities_of_classes_stand_row_by_row_beside_the_likeliest() -> None:
    outputs = [{"early": 0.25, "late": 0.75}, {"early": 0.5, "late": 0.5}]
    body = written_response(taken(None), Answer([1, 1], outputs, [{}, {}], {}), "multiclass", ("early", "late"))
    answer = orjson.loads(body)
    assert answer["outputs"] == [
        {"name": "class", "shape": [2], "datatype": "BYTES", "data": ["late", "early"]},
        {"name": "probability", "shape": [2, 2], "datatype": "FP64", "data": [0.25, 0.75, 0.5, 0.5]},
    ]
    assert answer["parameters"]["classes"] == ["early", "late"]
