from __future__ import annotations

import math
import sqlite3
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from ml_platform.engine import request_time
from ml_platform.engine.estimators.baseline import BaselineEstimator
from ml_platform.engine.package import Feature, ModelCard, digest, write_card
from ml_platform.engine.request_time import version_of
from ml_platform.errors import BindingError, DeclarationError, NotFoundError, PlatformError, ServiceError
from ml_platform.jobs.serving.served import Served
from ml_platform.jobs.serving.tensors import RequestError
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.records.feature import RequestTimeFeatures
from ml_platform.records.metric import Task
from ml_platform.records.prediction import ServedPrediction
from ml_platform.testing.endpoint_host import FEATURES, MOMENT, infer_request, write_package
from resources.embedded.prediction_log import EmbeddedPredictionLog

FLIGHT = "UA1"


def logged(tmp_path: Path) -> Sequence[ServedPrediction]:
    return EmbeddedPredictionLog(str(tmp_path / "log")).since("arrival_delay", 0, 100)[0]


def test_answer_says_what_answered(spec: EndpointSpec) -> None:
    served = Served.load(spec, 5)
    answer = orjson.loads(served.answer(orjson.dumps(infer_request("UA1", "B62", id="mine"))))
    request_ids = answer["parameters"].pop("request_ids")
    assert answer == {
        "model_name": "arrival_delay",
        "model_version": "1",
        "id": "mine",
        "outputs": [{"name": "probability", "shape": [2], "datatype": "FP64", "data": [0.25, 0.25]}],
        "parameters": {"revision": 5, "model_versions": [1, 1]},
    }
    assert len(set(request_ids)) == 2
    assert served.digests == {1: digest(Path(spec.packages[1]))}


def test_request_without_an_id_is_given_one(spec: EndpointSpec) -> None:
    served = Served.load(spec, 1)
    ids = {orjson.loads(served.answer(orjson.dumps(infer_request("UA1"))))["id"] for _ in range(2)}
    assert len(ids) == 2


def test_every_row_is_logged_with_what_the_model_saw(spec: EndpointSpec, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    answer = orjson.loads(Served.load(spec, 5).answer(orjson.dumps(infer_request("UA1", "B62"))))
    first, second = logged(tmp_path)
    assert [first.request_id, second.request_id] == answer["parameters"]["request_ids"]
    assert (first.endpoint, first.revision, first.model_version, first.output) == ("arrival_delay", 5, 1, 0.25)
    assert first.event_time == MOMENT
    assert before <= first.served_at <= datetime.now(UTC)
    assert 0 < first.latency_ms < 10_000
    assert first.inputs == {"flight_id": "UA1"}
    assert first.features == {"carrier": "UA", "wind": 10.0}
    assert first.views == {"plan_v1": "2013-11-30T21:00:00+00:00", "weather_v1": "2013-12-30T20:00:00+00:00"}
    # LaGuardia has no weather: the log says so
    assert second.features == {"carrier": "B6", "wind": None}
    assert second.views == {"plan_v1": "2013-11-30T21:00:00+00:00", "weather_v1": None}


WINDY = """
def windy_v1(event_time, wind):
    return {"gust": 100 / (20 - wind) + event_time.minute}
"""


def computing(folder: Path, source: str, rate: float = 0.5) -> Path:
    """A package of a model that takes what a function of its own computes of the wind."""
    folder.mkdir()
    write_card(folder, ModelCard("binary", "baseline", "late", (Feature("gust", "number"),), parameters={}, seed=1))
    BaselineEstimator(rate).save(folder)
    inputs = {"event_time": "datetime", "wind": "float"}
    request_time.save(folder, [RequestTimeFeatures("windy_v1", inputs, {"gust": "number"}, source)])
    return folder


def test_a_model_sees_what_its_own_function_computes_of_request_and_look_ups(
    spec: EndpointSpec, tmp_path: Path
) -> None:
    # given a split over two versions, each fitted with a function of its own
    old = computing(tmp_path / "old", WINDY)
    new = computing(tmp_path / "new", WINDY.replace("100", "200"))
    both = replace(spec, packages={1: str(old), 2: str(new)}, split=TrafficSplit({1: 0.5, 2: 0.5}))
    # when each is asked half an hour after a wind of 10, and about a flight that nobody knows
    served, moment = Served.load(both, 1), (MOMENT + timedelta(minutes=30)).isoformat()
    for flight in ("UA1", "B62"):
        for version in (1, 2):
            served.answer(orjson.dumps(infer_request(flight, moment=moment)), version)
    # then each saw its own, and none where there was no wind; the log tells which function it was
    records = logged(tmp_path)
    assert {record.model_version for record in records} == {1, 2}
    for record in records:
        known = record.inputs["flight_id"] == "UA1"
        assert record.features == {"gust": {1: 40.0, 2: 50.0}[record.model_version] if known else None}
        function = version_of(request_time.load({1: old, 2: new}[record.model_version])[0])
        assert [name for name in record.views if "@" in name] == [function]


def test_a_request_that_a_version_cannot_compute_with_is_refused_and_counts_against_it(
    spec: EndpointSpec, tmp_path: Path
) -> None:
    # given a version whose function fails at a wind of 10, which another's does not
    packages = {
        1: str(computing(tmp_path / "old", WINDY)),
        2: str(computing(tmp_path / "new", WINDY.replace("20 - wind", "10 - wind"))),
    }
    served = Served.load(replace(spec, packages=packages, split=TrafficSplit({1: 0.5, 2: 0.5})), 1)
    # when both are asked together
    asked = [(orjson.dumps(infer_request("UA1")), version) for version in (1, 2)]
    answered, refused = served.respond_all(asked)
    # then the one answers, the caller of the other is told, and the log has both
    assert isinstance(answered, tuple)
    assert isinstance(refused, RequestError)
    assert "windy_v1 ends with ZeroDivisionError" in str(refused)
    assert {it.model_version: it.error.partition(" (")[0] for it in logged(tmp_path)} == {
        1: "",
        2: "UncomputedError: the request cannot be answered: windy_v1 ends with ZeroDivisionError",
    }
    # and what no version can be asked is nobody's but the caller's
    with pytest.raises(RequestError):
        served.respond(orjson.dumps({"inputs": []}))
    assert len(logged(tmp_path)) == 2


CARRYING = """
def carrying_v1(flight_id, wind):
    return {"airline": flight_id, "gust": wind}
"""


def test_what_is_computed_of_a_redacted_column_is_redacted(
    spec: EndpointSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_PLATFORM_REDACTION_KEY", "a secret of enough length")
    package = computing(tmp_path / "model", WINDY)
    features = (Feature("airline", "category", (FLIGHT,)), Feature("gust", "number"))
    write_card(package, ModelCard("binary", "baseline", "late", features, parameters={}, seed=1))
    gives = {"airline": "category", "gust": "number"}
    function = RequestTimeFeatures("carrying_v1", {"flight_id": "str", "wind": "float"}, gives, CARRYING)
    request_time.save(package, [function])
    served = Served.load(replace(spec, packages={1: str(package)}, redact=("flight_id",)), 1)
    served.answer(orjson.dumps(infer_request(FLIGHT)))
    (record,) = logged(tmp_path)
    assert record.inputs["flight_id"] == record.features["airline"] != FLIGHT
    assert record.features["gust"] is None
    assert b"UA" not in (tmp_path / "log" / "arrival_delay.jsonl").read_bytes()


def test_requests_that_came_together_are_answered_as_each_alone(spec: EndpointSpec, tmp_path: Path) -> None:
    # given a split over two versions that each compute something of a look-up
    packages = {number: str(computing(tmp_path / str(number), WINDY, rate=number / 4)) for number in (1, 2)}
    served = Served.load(replace(spec, packages=packages, split=TrafficSplit({1: 0.5, 2: 0.5})), 1)
    flights = [(f"UA{number}", "B62") if number % 3 else ("UA1",) for number in range(12)]
    asked: list[tuple[bytes, int | None]] = [
        (orjson.dumps(infer_request(*those, id=str(n))), 2 if n == 5 else None) for n, those in enumerate(flights)
    ]
    # when they are asked at once, and one by one
    together = served.respond_all(asked)
    alone = [served.respond(*each) for each in asked]
    # then answers and records are the same, but for what is each request's own
    for one, other in zip(together, alone, strict=True):
        assert not isinstance(one, Exception)
        first, second = orjson.loads(one[0]), orjson.loads(other[0])
        first["parameters"].pop("request_ids"), second["parameters"].pop("request_ids")
        assert (first, one[1]) == (second, other[1])
    rows = sum(map(len, flights))
    told = [(it.model_version, it.inputs, it.features, it.views, it.output, it.named) for it in logged(tmp_path)]
    assert told[:rows] == told[rows:]


def test_a_request_that_fails_fails_alone_though_others_came_with_it(spec: EndpointSpec, tmp_path: Path) -> None:
    package = computing(tmp_path / "failing", WINDY.replace("20 -", "10 -"))
    served = Served.load(replace(spec, packages={1: str(package)}), 1)
    answers = served.respond_all([(orjson.dumps(infer_request(flight)), None) for flight in ("B62", "UA1", "XX9")])
    assert [isinstance(answer, RequestError) for answer in answers] == [False, True, False]
    assert {it.inputs["flight_id"]: bool(it.error) for it in logged(tmp_path)} == {
        "B62": False,
        "XX9": False,
        "UA1": True,
    }


def test_a_store_that_is_gone_is_logged_for_every_request_that_needed_it(spec: EndpointSpec, tmp_path: Path) -> None:
    # given a store whose tables somebody drops while it serves
    served = Served.load(spec, 1)
    with sqlite3.connect(tmp_path / "features.sqlite") as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'DROP TABLE "{table}"')
    answers = served.respond_all([(orjson.dumps(infer_request(flight)), None) for flight in ("UA1", "B62")])
    assert all(isinstance(answer, Exception) for answer in answers)
    assert [(record.inputs["flight_id"], bool(record.error)) for record in logged(tmp_path)] == [
        ("UA1", True),
        ("B62", True),
    ]


def test_a_row_that_cannot_be_computed_refuses_its_whole_request(spec: EndpointSpec, tmp_path: Path) -> None:
    package = computing(tmp_path / "failing", WINDY.replace("20 -", "10 -"))
    served = Served.load(replace(spec, packages={1: str(package)}), 1)
    with pytest.raises(RequestError, match=r"windy_v1 ends with ZeroDivisionError .* at row 1, of 2013-12-30T21"):
        served.answer(orjson.dumps(infer_request("B62", "UA1")))
    assert [bool(record.error) for record in logged(tmp_path)] == [True, True]


def test_a_function_whose_input_nobody_gives_is_refused(spec: EndpointSpec, tmp_path: Path) -> None:
    package = computing(tmp_path / "lacking", WINDY)
    with pytest.raises(DeclarationError, match="endpoint arrival_delay: windy_v1 takes wind, but neither the request"):
        Served.load(replace(spec, packages={1: str(package)}, views=spec.views[:1]), 1)


def test_later_row_is_never_served(spec: EndpointSpec, tmp_path: Path) -> None:
    # given an observation one hour before the moment (10) and one an hour after it (99)
    served = Served.load(spec, 1)
    hour = timedelta(hours=1)
    for moment in (MOMENT, MOMENT + hour - timedelta(microseconds=1), MOMENT + hour, MOMENT + 8 * hour):
        served.answer(orjson.dumps(infer_request("UA1", moment=moment.isoformat())))
    assert [record.features["wind"] for record in logged(tmp_path)] == [10.0, 10.0, 99.0, None]


def test_unknown_flight_is_answered_from_missing_features(spec: EndpointSpec, tmp_path: Path) -> None:
    Served.load(spec, 1).answer(orjson.dumps(infer_request("XX9")))
    (record,) = logged(tmp_path)
    assert record.features == {"carrier": None, "wind": None}
    assert record.views == {"plan_v1": None, "weather_v1": None}


def test_earliest_and_latest_moments_are_answered(spec: EndpointSpec) -> None:
    served = Served.load(spec, 1)
    for moment in ("1900-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z"):
        assert orjson.loads(served.answer(orjson.dumps(infer_request("UA1", moment=moment))))["outputs"]


def test_rows_of_one_request_go_to_several_versions(spec: EndpointSpec, tmp_path: Path) -> None:
    second = write_package(tmp_path / "second", rate=0.75)
    both = replace(spec, packages={**spec.packages, 2: str(second)}, split=TrafficSplit({1: 0.5, 2: 0.5}))
    flights = [f"UA{number}" for number in range(20)]
    answer = orjson.loads(Served.load(both, 1).answer(orjson.dumps(infer_request(*flights))))
    assert answer["model_version"] == "1,2"
    expected = [{1: 0.25, 2: 0.75}[version] for version in answer["parameters"]["model_versions"]]
    assert answer["outputs"][0]["data"] == expected
    assert [record.output for record in logged(tmp_path)] == expected
    assert [record.inputs["flight_id"] for record in logged(tmp_path)] == flights


def test_log_that_cannot_be_written_withholds_the_answer(spec: EndpointSpec, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    with pytest.raises(PlatformError, match="every answer is logged before it is given"):
        Served.load(spec, 1).answer(orjson.dumps(infer_request("UA1")))


def test_model_whose_features_nobody_gives_is_refused(spec: EndpointSpec) -> None:
    with pytest.raises(DeclarationError, match="takes wind, but neither the request nor a view gives it"):
        Served.load(replace(spec, views=spec.views[:1]), 1)


def test_view_that_was_never_published_is_refused(spec: EndpointSpec) -> None:
    views = (spec.views[0], replace(spec.views[1], name="weather_v2"))
    with pytest.raises(NotFoundError, match="feature view weather_v2 is not in the online store"):
        Served.load(replace(spec, views=views), 1)


@pytest.mark.parametrize(
    "binding",
    [
        ServiceBinding("resources.nowhere", "Store", {"password": "canary"}),
        ServiceBinding("resources.embedded.feature_store", "Store", {"password": "canary"}),
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", {"password": "canary"}),
    ],
)
def test_service_that_cannot_be_made_is_named_without_its_settings(spec: EndpointSpec, binding: ServiceBinding) -> None:
    with pytest.raises(BindingError, match=rf"{binding.module}.{binding.name} cannot be made") as refusal:
        Served.load(replace(spec, feature_store=binding), 1)
    assert "canary" not in str(refusal.value)


def told(spec: EndpointSpec, folder: Path, task: Task, rate: float | list[float], classes: tuple[str, ...]) -> Served:
    """The endpoint, its one model answering the same to every row."""
    folder.mkdir()
    write_card(folder, ModelCard(task, "baseline", "delay", FEATURES, parameters={}, seed=1, classes=classes))
    BaselineEstimator(rate).save(folder)
    return Served.load(replace(spec, packages={1: str(folder)}), 1)


def test_classes_are_answered_with_the_likeliest_and_all_probabilities(spec: EndpointSpec, tmp_path: Path) -> None:
    served = told(spec, tmp_path / "kinds", "multiclass", [0.2, 0.7, 0.1], ("early", "late", "on time"))
    answer = orjson.loads(served.answer(orjson.dumps(infer_request("UA1", "B62"))))
    assert answer["outputs"] == [
        {"name": "class", "shape": [2], "datatype": "BYTES", "data": ["late", "late"]},
        {"name": "probability", "shape": [2, 3], "datatype": "FP64", "data": [0.2, 0.7, 0.1, 0.2, 0.7, 0.1]},
    ]
    assert answer["parameters"]["classes"] == ["early", "late", "on time"]
    assert [output["shape"] for output in served.outputs] == [[-1], [-1, 3]]
    assert logged(tmp_path)[0].output == {"early": 0.2, "late": 0.7, "on time": 0.1}


def test_value_is_answered_as_a_value(spec: EndpointSpec, tmp_path: Path) -> None:
    served = told(spec, tmp_path / "minutes", "regression", -12.5, ())
    answer = orjson.loads(served.answer(orjson.dumps(infer_request("UA1", outputs=[{"name": "value"}]))))
    assert answer["outputs"] == [{"name": "value", "shape": [1], "datatype": "FP64", "data": [-12.5]}]
    assert logged(tmp_path)[0].output == -12.5
    with pytest.raises(PlatformError, match=r"the endpoint gives one output\. It is called value"):
        served.answer(orjson.dumps(infer_request("UA1", outputs=[{"name": "probability"}])))


def test_models_of_different_questions_are_not_served_together(spec: EndpointSpec, tmp_path: Path) -> None:
    folder = tmp_path / "minutes"
    told(spec, folder, "regression", 1.0, ())
    split = TrafficSplit({1: 0.5, 2: 0.5})
    with pytest.raises(DeclarationError, match="version 1 a binary one and version 2 a regression one"):
        Served.load(replace(spec, packages={**spec.packages, 2: str(folder)}, split=split), 1)


def test_failed_answer_is_logged_with_its_inputs_and_told(spec: EndpointSpec, tmp_path: Path) -> None:
    # given a store that is lost after the endpoint has loaded
    served = Served.load(spec, 5)
    (tmp_path / "features.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(Exception, match=r".") as failure:
        served.answer(orjson.dumps(infer_request("UA1", "B62")))
    # then both rows say why there is no answer
    records = logged(tmp_path)
    assert [record.inputs for record in records] == [{"flight_id": "UA1"}, {"flight_id": "B62"}]
    assert [record.features for record in records] == [{}, {}]
    assert {record.error for record in records} == {f"{type(failure.value).__name__}: {failure.value}"}
    assert all(math.isnan(record.output) for record in records if isinstance(record.output, float))


def test_request_that_was_not_understood_is_not_logged(spec: EndpointSpec, tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        Served.load(spec, 5).answer(orjson.dumps(infer_request("UA1", moment="now")))
    assert logged(tmp_path) == []


def test_shadow_that_fails_is_logged_and_the_caller_is_answered(spec: EndpointSpec, tmp_path: Path) -> None:
    second = write_package(tmp_path / "second", rate=0.75)
    served = Served.load(replace(spec, packages={**spec.packages, 2: str(second)}, shadow=2), 5)
    served.scoring.scorers[2].predict = _broken  # type: ignore[method-assign]
    answer = orjson.loads(served.answer(orjson.dumps(infer_request("UA1"))))
    served.shadow.finish()
    assert answer["outputs"][0]["data"] == [0.25]
    mine, shadows = logged(tmp_path)
    assert (mine.error, mine.shadow) == ("", False)
    assert (shadows.error, shadows.shadow, shadows.model_version) == ("ValueError: broken", True, 2)


def test_request_that_names_a_version_is_not_shadowed(spec: EndpointSpec, tmp_path: Path) -> None:
    second = write_package(tmp_path / "second", rate=0.75)
    served = Served.load(replace(spec, packages={**spec.packages, 2: str(second)}, shadow=2), 5)
    served.respond(orjson.dumps(infer_request("UA1")), version=2)
    served.shadow.finish()
    (record,) = logged(tmp_path)
    assert (record.model_version, record.named, record.shadow) == (2, True, False)


def _broken(_: object) -> NDArray[np.float64]:
    raise ValueError("broken")


def test_redacted_column_is_in_no_file_that_the_server_writes(
    spec: EndpointSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an endpoint whose log hides the flight and what the model takes of it
    with pytest.raises(BindingError, match="ML_PLATFORM_REDACTION_KEY"):
        Served.load(replace(spec, redact=("flight_id",)), 1)
    monkeypatch.setenv("ML_PLATFORM_REDACTION_KEY", "a secret of enough length")
    served = Served.load(replace(spec, redact=("flight_id", "carrier")), 1)
    # when it answers, and when it fails in words that quote
    answer = orjson.loads(served.answer(orjson.dumps(infer_request(FLIGHT))))
    assert answer["outputs"][0]["data"] == [0.25]
    served.scoring.scorers[1].predict = _quoting  # type: ignore[method-assign]
    with pytest.raises(ServiceError, match="ValueError in the server") as told:
        served.answer(orjson.dumps(infer_request(FLIGHT)))
    assert FLIGHT not in "".join(traceback.format_exception(told.value))
    # then no file has the flight, and equal ones can be joined
    files = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert not [path for path in files if b"UA" in path.read_bytes()]
    first, second = logged(tmp_path)
    assert first.inputs == second.inputs
    assert (first.features["wind"], second.error) == (10.0, "ValueError")


def _quoting(_: object) -> NDArray[np.float64]:
    raise ValueError(f"could not convert {FLIGHT!r}")
