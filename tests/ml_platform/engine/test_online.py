from __future__ import annotations

import doctest
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml_platform.engine import online
from ml_platform.errors import DeclarationError
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.records.feature import FeatureRow, FeatureView, LookUp

AT = datetime(2013, 12, 30, 21, tzinfo=UTC)
PLAN = FeatureView("plan_v1", ("flight_id",), ("carrier", "origin"), 2000)
WEATHER = FeatureView("weather_v1", ("origin",), ("wind",), 6)
SPEC = EndpointSpec(
    name="delay",
    packages={1: "a", 2: "b"},
    split=TrafficSplit({1: 0.9, 2: 0.1}),
    request={"flight_id": "string", "seats": "integer"},
    views=(PLAN, WEATHER),
    feature_store=ServiceBinding("m", "S"),
    prediction_log=ServiceBinding("m", "L"),
)


class Store:
    """Answers from two dictionaries and records what it was asked."""

    def __init__(self) -> None:
        self.rows = {("UA1",): {"carrier": "UA", "origin": "JFK"}, ("JFK",): {"wind": 10.0}}
        self.asked: list[LookUp] = []

    def look_up(self, question: LookUp) -> Sequence[FeatureRow]:
        self.asked.append(question)
        return [
            FeatureRow(self.rows[key], at - timedelta(hours=1), at)
            if key in self.rows
            else FeatureRow(dict.fromkeys(question.view.features))
            for key, at in zip(question.keys, question.at, strict=True)
        ]


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(online).failed == 0


def test_view_is_keyed_by_what_an_earlier_view_answered() -> None:
    store = Store()
    columns, times = online.enrich({"flight_id": ["UA1"]}, [AT], (PLAN, WEATHER), store.look_up)
    assert columns == {"flight_id": ["UA1"], "carrier": ["UA"], "origin": ["JFK"], "wind": [10.0]}
    assert times == {"plan_v1": [AT - timedelta(hours=1)], "weather_v1": [AT - timedelta(hours=1)]}


def test_row_without_an_answer_has_missing_features_and_asks_no_further() -> None:
    store = Store()
    moments = [AT, AT + timedelta(hours=1)]
    columns, times = online.enrich({"flight_id": ["unknown", "UA1"]}, moments, (PLAN, WEATHER), store.look_up)
    assert columns["wind"] == [None, 10.0]
    assert times["weather_v1"] == [None, AT]
    assert store.asked == [
        LookUp(PLAN, [("unknown",), ("UA1",)], moments),
        LookUp(WEATHER, [("JFK",)], [AT + timedelta(hours=1)]),
    ]


def test_view_is_not_asked_where_no_row_has_its_key() -> None:
    store = Store()
    online.enrich({"flight_id": ["unknown"]}, [AT], (PLAN, WEATHER), store.look_up)
    assert [question.view for question in store.asked] == [PLAN]


def test_spec_of_what_can_be_served_passes() -> None:
    online.check_spec(SPEC)
    online.check_features(SPEC, {"wind": "number", "carrier": "category", "seats": "number"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": (WEATHER, PLAN)}, "weather_v1 is keyed by origin, but nothing before it gives delay that"),
        (
            {"views": (PLAN, replace(WEATHER, features=("carrier",)))},
            "carrier of endpoint delay comes from plan_v1 and",
        ),
        ({"request": {"flight_id": "str"}}, "flight_id of endpoint delay is of type 'str'.*Did you mean string"),
        ({"request": {"flight_id": "string", "event_time": "string"}}, "event_time is a request column"),
        ({"split": TrafficSplit({1: 0.9, 2: 0.2})}, r"the traffic split of endpoint delay is \{1: 0.9, 2: 0.2\}"),
        ({"split": TrafficSplit({1: 1.5, 2: -0.5})}, "the traffic split of endpoint delay"),
        ({"split": TrafficSplit({})}, "the traffic split of endpoint delay"),
        ({"split": TrafficSplit({1: 0.9, 3: 0.1})}, r"sends traffic to version 3.*It has packages of \[1, 2\]"),
    ],
)
def test_spec_that_cannot_be_served_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        online.check_spec(replace(SPEC, **changes))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"winds": "number"}, "takes winds, but neither the request nor a view gives it. Did you mean wind"),
        ({"flight_id": "number"}, "request column flight_id of endpoint delay is a string"),
        ({}, "takes no feature"),
    ],
)
def test_model_that_cannot_be_fed_is_refused(features: dict[str, str], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        online.check_features(SPEC, features)


def test_traffic_goes_by_the_entities_of_a_request() -> None:
    assert online.key_columns(SPEC.request, SPEC.views) == ("flight_id",)
    assert online.key_columns({"a": "number", "b": "number"}, ()) == ("a", "b")


def test_split_keeps_its_shares_and_growing_share_keeps_its_keys() -> None:
    keys = [[f"UA{number}"] for number in range(4000)]
    few = {tuple(key) for key in keys if online.version_for(key, TrafficSplit({1: 0.95, 2: 0.05})) == 2}
    half = {tuple(key) for key in keys if online.version_for(key, TrafficSplit({1: 0.5, 2: 0.5})) == 2}
    # binomial standard deviations: 13.8 around 200, 31.6 around 2000
    assert abs(len(few) - 200) < 4 * 13.8
    assert abs(len(half) - 2000) < 4 * 31.6
    assert few <= half


def test_version_without_a_share_gets_nothing() -> None:
    split = TrafficSplit({1: 0.0, 2: 1.0, 3: 0.0})
    assert {online.version_for([number], split) for number in range(200)} == {2}


def test_growing_share_keeps_every_key_that_it_had() -> None:
    # given three versions, the middle of which takes over from the others step by step
    splits = [TrafficSplit({1: 0.6 - part / 2, 2: 0.1 + part, 3: 0.3 - part / 2}) for part in (0.0, 0.2, 0.5)]
    had: set[int] = set()
    for split in splits:
        has = {number for number in range(1000) if online.version_for([number], split) == 2}
        assert had <= has
        # a binomial share of 1000 is within 4 standard deviations
        share = split.shares[2]
        assert abs(len(has) - 1000 * share) < 4 * (1000 * share * (1 - share)) ** 0.5
        had = has


@pytest.mark.parametrize("shadow", [1, 3])
def test_shadow_is_loaded_and_without_a_share(shadow: int) -> None:
    spec = replace(SPEC, packages={1: "a", 2: "b"}, split=TrafficSplit({1: 1.0, 2: 0.0}))
    online.check_spec(replace(spec, shadow=2))
    with pytest.raises(DeclarationError, match=f"the shadow of endpoint .* is version {shadow}"):
        online.check_spec(replace(spec, shadow=shadow))
