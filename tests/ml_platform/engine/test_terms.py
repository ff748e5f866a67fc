from __future__ import annotations

import json
from dataclasses import replace

from ml_platform.engine.terms import Terms
from ml_platform.records.feature import FeatureView

PLAN = FeatureView("plan_v1", entity=("flight_id",), features=("carrier", "origin"), ttl_hours=2000)
WEATHER = FeatureView("weather_v1", entity=("origin",), features=("wind",), ttl_hours=6)
GUSTS = FeatureView("gusts_v1", entity=("origin",), features=("gust",), ttl_hours=6)
FIRST = Terms(1, "aa", {"flight_id": "string"}, (PLAN, WEATHER))


def test_identity_follows_everything_that_goes_back_together() -> None:
    others = [
        replace(FIRST, digest="bb"),
        replace(FIRST, request={"flight_id": "integer"}),
        replace(FIRST, views=(PLAN,)),
        replace(FIRST, views=(PLAN, replace(WEATHER, ttl_hours=7))),
    ]
    identities = {each.target.identity for each in (FIRST, *others)}
    assert len(identities) == 5
    assert FIRST.target == replace(FIRST).target


def test_terms_are_read_as_they_were_written() -> None:
    assert Terms.read(json.loads(json.dumps(FIRST.plain()))) == FIRST


def test_versions_of_different_views_are_served_beside_each_other_on_the_views_of_both() -> None:
    second = replace(FIRST, version=2, digest="bb", views=(PLAN, GUSTS))
    both = second.beside(FIRST)
    assert both is not None
    assert (both.version, both.views) == (2, (PLAN, GUSTS, WEATHER))


def test_what_one_server_cannot_have_at_once_is_not_beside() -> None:
    second = replace(FIRST, version=2, digest="bb")
    assert second.beside(FIRST) is not None
    assert replace(FIRST, digest="bb").beside(FIRST) is None
    assert replace(second, request={"flight": "string"}).beside(FIRST) is None
    assert replace(second, views=(PLAN, replace(WEATHER, name="weather_v2"))).beside(FIRST) is None
    assert replace(second, views=(PLAN, replace(WEATHER, features=("gust",)))).beside(FIRST) is None
