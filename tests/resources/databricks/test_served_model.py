from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from ml_platform.jobs.serving import bundle
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.testing.endpoint_host import endpoint_spec, infer_request, publish_views, write_package
from resources.databricks.served_model import ServedModel, _load_pyfunc
from resources.embedded.feature_store import EmbeddedFeatureStore


@pytest.fixture
def model(tmp_path: Path) -> ServedModel:
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    log = {"folder": str(tmp_path / "log")}
    spec = endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", log),
    )
    bundle.write(spec, 7, tmp_path / "bundle")
    return _load_pyfunc(str(tmp_path / "bundle"))


def told(model: ServedModel, *bodies: object) -> list[dict[str, object]]:
    frame = pd.DataFrame({"body": [body if isinstance(body, str) else json.dumps(body) for body in bodies]})
    return [json.loads(answer) for answer in model.predict(frame)]


def test_a_v2_request_is_answered_with_its_status(model: ServedModel) -> None:
    answer, refusal = told(model, infer_request("UA1"), "no JSON")
    assert (answer["status"], answer["answer"]["outputs"][0]["data"]) == (200, [0.25])
    assert refusal["status"] == 400
    assert "the body is no JSON" in refusal["answer"]["error"]


def test_it_says_what_it_serves(model: ServedModel) -> None:
    (described,) = told(model, {"describe": True})
    assert (described["answer"]["number"], described["answer"]["split"]) == (7, {"1": 1.0})
