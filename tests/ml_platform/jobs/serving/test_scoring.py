from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_platform.engine.scorer import Scorer
from ml_platform.jobs.serving.protocol import InferRequest
from ml_platform.jobs.serving.record import Taken
from ml_platform.jobs.serving.scoring import Begun, Scoring
from ml_platform.records.endpoint import EndpointSpec
from ml_platform.testing.endpoint_host import write_package
from resources.embedded.feature_store import EmbeddedFeatureStore

AT = datetime(2013, 12, 30, 21, tzinfo=UTC)


def begun(flights: list[str], versions: list[int], at: datetime = AT) -> Begun:
    request = InferRequest("mine", {"flight_id": flights}, [at] * len(flights))
    return Begun(Taken.now("delay", 1, request, named=False, started=time.perf_counter()), versions)


@pytest.fixture
def scoring(spec: EndpointSpec, tmp_path: Path) -> Scoring:
    folders = {number: write_package(tmp_path / str(number), rate=number / 4) for number in (1, 2)}
    scorers = {number: Scorer.load(folder) for number, folder in folders.items()}
    return Scoring(spec.views, scorers, EmbeddedFeatureStore(str(tmp_path / "features.sqlite")), ())


def test_rows_of_several_requests_are_looked_up_as_of_their_own_moments(scoring: Scoring) -> None:
    # one hour later there is another observation (99)
    found = scoring.said([begun(["B62", "UA1"], [1, 2]), begun(["UA1"], [1], AT + timedelta(hours=1))])
    assert [[*it.answer.outputs] for it in found] == [[0.25, 0.5], [0.25]]
    assert [[row["wind"] for row in it.answer.features] for it in found] == [[None, 10.0], [99.0]]
    assert [it.columns["flight_id"] for it in found] == [["B62", "UA1"], ["UA1"]]
    assert [[*it.answer.versions] for it in found] == [[1, 2], [1]]
    assert [it.answer.views["weather_v1"] for it in found] == [
        [None, AT - timedelta(hours=1)],
        [AT + timedelta(hours=1)],
    ]


def test_a_version_is_asked_once_for_all_of_its_rows(scoring: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    predict = Scorer.predict

    def counted(self: Scorer, columns: dict[str, list[object]]) -> object:
        sizes.append(len(next(iter(columns.values()))))
        return predict(self, columns)

    monkeypatch.setattr(Scorer, "predict", counted)
    scoring.said([begun(["UA1", "B62"], [1, 2]), begun(["UA1"], [1]), begun(["UA1"], [2])])
    assert sorted(sizes) == [2, 2]
