from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from ml_platform.engine import delta
from ml_platform.engine.parity import EVENT_TIME, Evaluation, Rows, compare, logged_rows
from ml_platform.engine.rollout import Finding, Guards
from ml_platform.engine.terms import Terms
from ml_platform.errors import RefusedError, ServiceError, TransientServiceError
from ml_platform.records.feature import FeatureView
from ml_platform.records.model import ModelVersion
from ml_platform.records.prediction import ServedPrediction
from ml_platform.testing.endpoint_host import write_package
from ml_platform.testing.feature_store import rows_of
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.lakehouse import EmbeddedLakehouse

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
REQUEST = {"flight_id": "string"}
WIND = FeatureView("wind_v1", entity=("flight_id",), features=("wind",), ttl_hours=2)
ASKED = [{"flight_id": name, EVENT_TIME: NOW} for name in ("UA1", "B62")]
ROWS = Rows(ASKED, {"carrier": ["UA", "B6"], "wind": [1.0, None]}, "the snapshot")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("parity") / "package", rate=0.25)


def compared(package: Path, data: Sequence[float | None], rows: Rows = ROWS) -> tuple[Finding, list[Any]]:
    asked: list[Any] = []

    def ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(body)
        return {"outputs": [{"name": "probability", "datatype": "FP64", "data": data}]}

    return compare(package, 7, rows, REQUEST, Guards(parity_rows=2), ask), asked


def test_answers_that_agree_to_a_millionth_pass_and_the_version_is_named(package: Path) -> None:
    found, (body,) = compared(package, [0.25, 0.250_000_9])
    assert (found.passed, found.said) == (True, "Kept: 2 rows of the snapshot agree to 1e-06.")
    assert body["parameters"] == {"model_version": "7"}
    assert {tensor["name"]: tensor["data"] for tensor in body["inputs"]} == {
        "flight_id": ["UA1", "B62"],
        "event_time": ["2026-01-05T12:00:00Z"] * 2,
    }


@pytest.mark.parametrize("other", [0.250_001_1, None, float("inf")])
def test_one_answer_that_differs_is_told_with_its_row(package: Path, other: float | None) -> None:
    found, _ = compared(package, [0.25, other])
    assert found.passed is False
    assert "1 answers differ" in found.said
    assert "The first: flight_id B62" in found.said


def test_another_number_of_answers_is_no_agreement(package: Path) -> None:
    found, _ = compared(package, [0.25])
    assert (found.passed, found.said) == (False, "Broken: 2 answers offline, and 1 by the endpoint.")


def test_an_endpoint_that_cannot_answer_has_not_passed_unless_it_may_in_a_moment(package: Path) -> None:
    def found(error: Exception) -> Finding:
        def ask(_: object) -> Mapping[str, Any]:
            raise error

        return compare(package, 7, ROWS, REQUEST, Guards(parity_rows=2), ask)

    broken = found(ServiceError("the answer of endpoint late is 500"))
    assert (broken.passed, broken.said) == (
        False,
        "Broken: 2 rows of the snapshot have no answer by the endpoint: the answer of endpoint late is 500.",
    )
    for passing in (TransientServiceError("it is busy"), RefusedError("the credentials have ended")):
        with pytest.raises(type(passing)):
            found(passing)


def test_without_a_row_to_compare_by_it_has_not_passed(package: Path) -> None:
    found, asked = compared(package, [], Rows((), {}, "nothing"))
    assert (found.passed, asked) == (False, [])
    assert "Raise online_history_hours" in found.said


def test_logged_requests_hold_what_the_model_takes_and_are_traffic() -> None:
    def one(features: Mapping[str, Any], **more: Any) -> ServedPrediction:
        return ServedPrediction("r", "x", 1, 1, NOW, NOW, {"flight_id": "UA1"}, features, {}, 0.5, 1.0, **more)

    whole = {"carrier": "UA", "wind": 3.0, "another": 1}
    records = [one(whole), one({"carrier": "UA"}), one(whole, named=True), one(whole, shadow=True), one({}, error="no")]
    rows = logged_rows(records, ["carrier", "wind"], ["flight_id"])
    assert rows.asked == [{"flight_id": "UA1", EVENT_TIME: NOW}]
    assert rows.features == {"carrier": ["UA"], "wind": [3.0]}


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Twelve hourly flights, test from the sixth on; winds stand online for the last four hours, but two."""
    folder = tmp_path_factory.mktemp("evaluation")
    lakehouse = EmbeddedLakehouse(str(folder / "lakehouse"))
    moments = [NOW - timedelta(hours=11 - number) for number in range(12)]
    table = pa.table(
        {
            "flight_id": [f"f{number}" for number in range(12)],
            "at": pa.array(moments, pa.timestamp("us", tz="UTC")),
            "wind": [float(number) for number in range(12)],
            "split": ["train"] * 5 + ["test"] * 7,
        }
    )
    location = lakehouse.table("training_sets/late")
    write_deltalake(location.uri, table)
    store = EmbeddedFeatureStore(str(folder / "features.sqlite"))
    since = NOW - timedelta(hours=4)
    kept = [
        (f"f{number}", moments[number], moments[number], float(number)) for number in range(12) if number not in (8, 9)
    ]
    store.publish(WIND, rows_of(WIND, *kept), since, f"1 aa from {since.isoformat()}")
    fingerprint = delta.fingerprint(delta.existing(location))
    pin = json.dumps({"key": "training_sets/late", "version": 0, "fingerprint": fingerprint})
    champion = ModelVersion("late", 1, "aa", {"training_set": pin})
    return Evaluation(champion, "test", "at", Terms(1, "aa", REQUEST, (WIND,)), lakehouse, store)


def test_snapshot_gives_the_latest_rows_of_the_split_that_the_store_can_answer(evaluation: Evaluation) -> None:
    rows = evaluation.rows({"wind": "number"}, 200)
    # 9 would stand online if it were known; 8 may have left the store, and what is before 7 has
    assert [row["flight_id"] for row in rows.asked] == ["f11", "f10", "f9", "f7"]
    assert list(rows.features["wind"]) == [11.0, 10.0, 9.0, 7.0]
    assert rows.source == "training_sets/late version 0, split test"
    assert len(evaluation.rows({"wind": "number"}, 2).asked) == 2


def test_a_store_that_has_moved_on_from_the_split_leaves_no_row(evaluation: Evaluation) -> None:
    assert list(replace(evaluation, split="train").rows({"wind": "number"}, 200).asked) == []


@pytest.mark.parametrize("elsewhere", [{"version": 7}, {"fingerprint": "of another table"}])
def test_latest_snapshot_here_stands_in_for_one_of_another_environment(
    evaluation: Evaluation, elsewhere: dict[str, Any]
) -> None:
    pin = {**json.loads(evaluation.champion.tags["training_set"]), **elsewhere}
    taken = replace(evaluation, champion=ModelVersion("late", 1, "aa", {"training_set": json.dumps(pin)}))
    assert len(taken.rows({"wind": "number"}, 200).asked) == 4


def test_version_of_elsewhere_is_compared_on_what_it_was_examined_on_here(evaluation: Evaluation) -> None:
    here = evaluation.champion.tags["training_set"]
    tags = {"training_set": json.dumps({"key": "training_sets/none", "version": 3}), "examined_on": here}
    taken = replace(evaluation, champion=ModelVersion("late", 1, "aa", tags))
    assert len(taken.rows({"wind": "number"}, 200).asked) == 4


def test_version_that_pins_nothing_has_no_rows(evaluation: Evaluation) -> None:
    unpinned = replace(evaluation, champion=ModelVersion("late", 1, "aa"))
    assert unpinned.rows({"wind": "number"}, 200).asked == ()
