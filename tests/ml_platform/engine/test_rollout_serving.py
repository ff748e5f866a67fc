from __future__ import annotations

from dataclasses import replace

from ml_platform.engine.rollout import State
from ml_platform.engine.rollout_log import Entry
from ml_platform.engine.rollout_serving import shown, terms_of, told, traffic_of
from ml_platform.engine.terms import Terms
from ml_platform.records.endpoint import Revision, TrafficSplit
from ml_platform.records.feature import FeatureView

PLAN = FeatureView("plan_v1", entity=("flight_id",), features=("carrier", "origin"), ttl_hours=2000)
WEATHER = FeatureView("weather_v1", entity=("origin",), features=("wind",), ttl_hours=6)
OLD = Terms(1, "aa", {"flight_id": "string"}, (PLAN,))
NEW = Terms(2, "bb", {"flight_id": "string"}, (PLAN, WEATHER))


def entry(stage: str, *, beside: bool = True, share: float = 0.0) -> Entry:
    state = State(NEW.target, OLD.target, stage, beside=beside, share=share)  # type: ignore[arg-type]
    return Entry(state, NEW, OLD)


def test_two_versions_are_served_on_terms_that_suit_both_and_one_on_its_own() -> None:
    for each in (entry("loaded"), entry("shadow"), entry("step", share=0.5), entry("step", share=1.0)):
        assert terms_of(each) == NEW.beside(OLD)
    assert terms_of(entry("served")) == NEW
    assert terms_of(entry("rolled back")) == OLD
    assert terms_of(replace(entry("loaded"), before=None)) == NEW


def test_what_changes_as_a_whole_is_served_on_the_one_or_the_other_terms() -> None:
    assert terms_of(entry("loaded", beside=False)) == OLD
    assert terms_of(entry("step", beside=False, share=1.0)) == NEW
    assert terms_of(entry("rolled back", beside=False)) == OLD


def test_what_is_read_back_is_compared_with_its_shadow() -> None:
    revision = Revision("x", 3, TrafficSplit({1: 1.0, 2: 0.0}), {}, "", ready=True, shadow=2)
    assert traffic_of(revision) == entry("shadow").state.traffic
    assert traffic_of(None) is None


def test_states_are_told_in_words() -> None:
    assert shown(None) == "nothing"
    assert told(entry("step", share=0.25).state) == "serves version 1 for 75 %, version 2 for 25 %, as read back"
    back = "serves version 1 for 100 % again, for the other went back, as read back"
    assert told(entry("rolled back").state) == back
