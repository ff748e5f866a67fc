from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine import request_time
from ml_platform.engine.package import Feature, digest, read_card, write_card
from ml_platform.errors import ServiceError
from ml_platform.jobs.serving import bundle
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.records.feature import RequestTimeFeatures
from ml_platform.testing.endpoint_host import (
    FEATURES,
    endpoint_spec,
    infer_request,
    publish_views,
    write_package,
)
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.prediction_log import EmbeddedPredictionLog


@pytest.fixture
def log(tmp_path: Path) -> EmbeddedPredictionLog:
    return EmbeddedPredictionLog(str(tmp_path / "log"))


@pytest.fixture
def spec(tmp_path: Path) -> EndpointSpec:
    store = str(tmp_path / "features.sqlite")
    publish_views(EmbeddedFeatureStore(store))
    return endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", {"path": store}),
        ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": str(tmp_path / "log")}),
    )


def written(spec: EndpointSpec, folder: Path) -> dict[str, Any]:
    bundle.write(spec, 3, folder)
    return json.loads((folder / "endpoint.json").read_text())


def test_a_bundle_serves_wherever_it_is_moved(spec: EndpointSpec, tmp_path: Path) -> None:
    digests = bundle.write(spec, 3, tmp_path / "made")
    (tmp_path / "made").rename(tmp_path / "moved")
    served = bundle.load(tmp_path / "moved")
    status, answer = bundle.answered(served, json.dumps(infer_request("UA1")).encode())
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, [0.25])
    assert served.digests == digests == {1: digest(Path(spec.packages[1]))}


def test_a_describe_body_is_answered_with_what_really_serves(spec: EndpointSpec, tmp_path: Path) -> None:
    digests = bundle.write(spec, 3, tmp_path / "made")
    status, answer = bundle.answered(bundle.load(tmp_path / "made"), b'{"describe": true}')
    revision = bundle.revision(json.loads(answer), "https://there")
    assert (status, revision.number, revision.split, revision.digests) == (200, 3, TrafficSplit({1: 1.0}), digests)
    assert json.loads(answer)["fingerprint"] == bundle.fingerprint(spec, digests)


def test_a_caller_who_looks_up_gets_the_same_answer_and_the_same_record(
    spec: EndpointSpec, log: EmbeddedPredictionLog, tmp_path: Path
) -> None:
    written(spec, tmp_path / "own")
    plain = written(replace(spec, lookup="caller"), tmp_path / "caller")
    request = infer_request("UA1", "B62", "nobody")
    (tmp_path / "features.sqlite").rename(tmp_path / "elsewhere.sqlite")
    served = bundle.load(tmp_path / "caller")
    (tmp_path / "elsewhere.sqlite").rename(tmp_path / "features.sqlite")

    complete = bundle.completed(plain, request)
    ours = bundle.answered(served, json.dumps(complete).encode())
    theirs = bundle.answered(bundle.load(tmp_path / "own"), json.dumps(request).encode())

    assert ours[0] == theirs[0] == 200
    assert json.loads(ours[1])["outputs"] == json.loads(theirs[1])["outputs"]
    records = log.since("arrival_delay", 0, 10)[0]
    for mine, other in zip(records[:3], records[3:], strict=True):
        assert (mine.inputs, mine.features, mine.views) == (other.inputs, other.features, other.views)
    assert records[0].features == {"carrier": "UA", "wind": 10.0}
    assert records[0].views["weather_v1"] == "2013-12-30T20:00:00+00:00"
    assert records[2].features == {"carrier": None, "wind": None}
    assert records[2].views == {"plan_v1": None, "weather_v1": None}


def test_what_is_computed_is_the_same_whoever_looks_up(
    spec: EndpointSpec, log: EmbeddedPredictionLog, tmp_path: Path
) -> None:
    # given a model that was fitted with a function of a feature that it does not take itself
    function = "def plane_v1(origin):\n    return {'plane': len(origin)}\n"
    computed = RequestTimeFeatures("plane_v1", {"origin": "str"}, {"plane": "number"}, function)
    package = write_package(tmp_path / "computing", rate=0.25)
    write_card(package, replace(read_card(package), features=(Feature("plane", "number"),)))
    request_time.save(package, [computed])
    spec = replace(spec, packages={1: str(package)})
    written(spec, tmp_path / "own")
    plain = written(replace(spec, lookup="caller"), tmp_path / "caller")
    # when its caller looks up, and when the endpoint does
    assert set(plain["takes"]) == {"origin", "plan_v1.event_time", "weather_v1.event_time"}
    for folder in ("own", "caller"):
        request = (
            infer_request("UA1", "nobody")
            if folder == "own"
            else bundle.completed(plain, infer_request("UA1", "nobody"))
        )
        status, _ = bundle.answered(bundle.load(tmp_path / folder), json.dumps(request).encode())
        assert status == 200
    # then the endpoint computed it, and its record says by which function
    records = log.since("arrival_delay", 0, 10)[0]
    assert [record.features for record in records] == [{"plane": 3.0}, {"plane": None}] * 2
    assert [record.views for record in records[:2]] == [record.views for record in records[2:]]
    assert request_time.version_of(computed) in records[0].views


def test_a_plain_request_is_told_what_its_caller_has_to_look_up(spec: EndpointSpec, tmp_path: Path) -> None:
    written(replace(spec, lookup="caller"), tmp_path / "caller")
    status, answer = bundle.answered(bundle.load(tmp_path / "caller"), json.dumps(infer_request("UA1")).encode())
    assert status == 400
    assert "input 'carrier' is missing" in json.loads(answer)["error"]
    assert all(feature.name in json.loads(answer)["error"] for feature in FEATURES)


def test_a_request_goes_unchanged_where_the_endpoint_looks_up(spec: EndpointSpec, tmp_path: Path) -> None:
    request = infer_request("UA1")
    assert bundle.completed(written(spec, tmp_path / "own"), request) == request


def test_what_cannot_be_served_is_refused_in_the_servers_own_words(spec: EndpointSpec, tmp_path: Path) -> None:
    bundle.write(spec, 1, tmp_path / "made")
    bundle.check(tmp_path / "made")
    (tmp_path / "made" / "packages" / "1" / "rate.json").write_text("{")
    with pytest.raises(ServiceError, match=r"the endpoint cannot be served, so it is not deployed: .*rate\.json"):
        bundle.check(tmp_path / "made")
