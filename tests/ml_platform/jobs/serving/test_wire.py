from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.jobs.serving.wire import decode, encode, fingerprint
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.records.feature import FeatureView
from ml_platform.records.job import Needs

SPEC = EndpointSpec(
    name="delay",
    packages={1: "/a", 12: "/b"},
    split=TrafficSplit({1: 0.25, 12: 0.75}),
    request={"flight_id": "string"},
    views=(FeatureView("plan_v1", ("flight_id", "leg"), ("carrier",), 2.5, known_at="seen_at"),),
    feature_store=ServiceBinding("m", "S", {"path": "/x", "ports": [1]}),
    prediction_log=ServiceBinding("m", "L"),
    needs=Needs(cpu=2.0, accelerator="gpu"),
)


def test_spec_comes_back_from_its_json() -> None:
    assert decode(json.loads(json.dumps(encode(SPEC, 7)))) == (SPEC, 7)


@pytest.mark.parametrize("broken", [{"views": 3}, {"packages": {"one": "/a"}}, {"feature_store": {"modul": "m"}}])
def test_json_that_says_no_spec_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(DeclarationError, match="the endpoint's spec is unreadable"):
        decode({**encode(SPEC, 7), **broken})


def test_missing_part_is_named() -> None:
    with pytest.raises(DeclarationError, match="KeyError: 'split'"):
        decode({name: value for name, value in encode(SPEC, 7).items() if name != "split"})


def test_fingerprint_tells_contents_apart_and_not_places() -> None:
    digests = {1: "d1", 12: "d12"}
    same = fingerprint(replace(SPEC, packages={1: "/elsewhere", 12: "/b"}), digests)
    assert same == fingerprint(SPEC, digests)
    assert fingerprint(SPEC, {**digests, 1: "other"}) != same
    assert fingerprint(replace(SPEC, split=TrafficSplit({1: 0.5, 12: 0.5})), digests) != same
