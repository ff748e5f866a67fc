from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.logged import collect
from ml_platform.engine.publication import publish
from ml_platform.engine.redaction import Redaction
from ml_platform.engine.request_time import version_of
from ml_platform.engine.skew import Audited, Skew, audit, objections
from ml_platform.engine.staging import stage
from ml_platform.records.feature import FeatureView, LookUp, RequestTimeFeatures
from ml_platform.records.prediction import ServedPrediction
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.lakehouse import EmbeddedLakehouse
from resources.embedded.prediction_log import EmbeddedPredictionLog

START = datetime(2013, 1, 1, tzinfo=UTC)
VIEW = FeatureView("wind_v1", ("origin",), ("wind", "sky"), ttl_hours=6)
VIEWS = {"features/wind_v1": VIEW}


class World:
    """A view, offline and online, and an endpoint's log of what was looked up in it."""

    def __init__(self, folder: Path) -> None:
        self.lakehouse = EmbeddedLakehouse(str(folder / "lakehouse"))
        self.store = EmbeddedFeatureStore(str(folder / "features.sqlite"))
        self.log = EmbeddedPredictionLog(str(folder / "log"))
        self.count = 0
        self.hidden: Redaction | None = None
        at = pa.array([START + timedelta(hours=number) for number in range(20)], pa.timestamp("us", "UTC"))
        sky = [None if number % 3 else "clear" for number in range(20)]
        wind = [number / 7 for number in range(20)]
        rows = {"origin": ["JFK"] * 20, "event_time": at, "known_at": at, "wind": wind, "sky": sky}
        location = self.lakehouse.table("features/wind_v1")
        staged = stage(pa.table(rows).to_batches(), pa.table(rows).schema, location)
        delta.commit(staged, read=None, replaced=(), transactions={}, evidence={})
        publish(VIEW, location, START, self.store)

    def serve(
        self,
        hours: float,
        origin: str = "JFK",
        *,
        views: Mapping[str, None] | None = None,
        error: str = "",
        shadow: bool = False,
        **planted: Any,
    ) -> None:
        """A request is answered with what was looked up, but for what is planted."""
        moment = START + timedelta(hours=hours)
        (found,) = self.store.look_up(LookUp(VIEW, [(origin,)], [moment]))
        self.count += 1
        record = ServedPrediction(
            request_id=f"r{self.count}",
            endpoint="late",
            revision=1,
            model_version=1,
            served_at=moment,
            event_time=moment,
            inputs={"origin": origin},
            features={**found.values, **planted},
            views=views or {},
            output=0.5,
            latency_ms=1.0,
            error=error,
            shadow=shadow,
        )
        self.log.append([self.hidden.record(record) if self.hidden else record])

    def audit(self, *computed: RequestTimeFeatures, tolerance: float = 0.0) -> Skew:
        snapshot = collect("late", self.lakehouse.table("endpoints/late__log"), self.log).snapshot
        of = Audited("endpoints/late", "models/late", VIEWS, computed, tolerance, self.hidden)
        return audit(of, snapshot, self.lakehouse, EmbeddedCompute())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_was_looked_up_is_what_the_offline_path_gives(world: World) -> None:
    for number in range(60):
        world.serve(number / 2, "JFK" if number % 5 else "SFO")
    assert world.audit() == Skew(60, 60)
    assert objections("models/late", world.lakehouse) == ()


def test_a_planted_difference_is_found_and_its_feature_named(world: World) -> None:
    world.serve(3.5)
    world.serve(4.5, wind=4 / 7 + 1e-12)
    world.serve(5.5, sky="clear")
    found = world.audit()
    assert found.differing == {"sky": 1, "wind": 1}
    # the latest request comes first
    assert found.example == {"request_id": "r3", "feature": "sky", "seen": "clear", "offline": None}
    assert objections("models/late", world.lakehouse) == (
        "Broken: of the last 3 requests to endpoints.late, served and offline features differ: sky in 1, wind in 1.",
    )


def test_what_was_computed_is_asked_again_by_the_function_that_is_declared(world: World) -> None:
    # given requests whose feature was computed as it is declared, but for one
    text = "def gust_v1(event_time, origin, wind):\n    return {'gust': wind + event_time.hour + len(origin)}\n"
    inputs = {"event_time": "datetime", "origin": "str", "wind": "float"}
    declared = RequestTimeFeatures("gust_v1", inputs, {"gust": "number"}, text)
    by = {version_of(declared): None}
    # at 3.5 and 4.5 o'clock the winds are 3/7 and 4/7, and JFK has three letters
    world.serve(3.5, views=by, gust=3 / 7 + 3 + 3)
    world.serve(4.5, views=by, gust=4 / 7 + 4 + 3)
    assert world.audit(declared) == Skew(2, 2)
    # a request of before, which another function would have failed at, is left to that one
    other = {version_of(replace(declared, source="def gust_v1(event_time, origin, wind):\n    return {}\n")): None}
    world.serve(-3.0, views=other, gust=0.0)
    failing = replace(declared, source=text.replace("wind +", "1 / (event_time.hour - 21) +"))
    world.serve(3.5, views={version_of(failing): None}, gust=1 / -18 + 3 + 3)
    assert world.audit(failing) == Skew(2, 4)
    # then the difference is found and its feature named; what another function computed is that one's own affair
    world.serve(3.5, views=by, gust=9.0)
    world.serve(3.5, views={version_of(replace(declared, source=text + "\n")): None}, gust=9.0)
    found = world.audit(declared)
    assert (found.requests, found.differing) == (2, {"gust": 1})
    assert found.example == {"request_id": "r5", "feature": "gust", "seen": 9.0, "offline": 3 / 7 + 3 + 3}


def test_a_number_may_differ_by_the_tolerance_that_is_declared_and_by_no_more(world: World) -> None:
    # given a wind of 4/7, off by 2e-12, and one of 18/7, off by 1e-9 of it and more
    world.serve(4.5, wind=4 / 7 + 2e-12)
    assert world.audit(tolerance=1e-9) == Skew(1, 1)
    world.serve(18.5, wind=18 / 7 * (1 + 0.9e-9))
    assert world.audit(tolerance=1e-9) == Skew(1, 2)
    world.serve(18.5, wind=18 / 7 * (1 + 1.1e-9))
    world.serve(18.5, sky="overcast")
    assert world.audit(tolerance=1e-9).differing == {"sky": 1, "wind": 1}


def test_a_verdict_stands_until_newer_requests_are_clean(world: World) -> None:
    world.serve(4.5, wind=0.0)
    assert world.audit().differing == {"wind": 1}
    # without newer requests nothing is found out
    assert world.audit().differing == {"wind": 1}
    world.serve(5.5)
    assert world.audit() == Skew(1, 2)
    assert objections("models/late", world.lakehouse) == ()


@pytest.mark.parametrize("moment", [datetime.min, datetime.max], ids=["first", "last"])
def test_a_moment_at_the_end_of_the_calendar_is_a_request_like_any_other(world: World, moment: datetime) -> None:
    world.serve(4.5)
    world.serve((moment.replace(tzinfo=UTC) - START) / timedelta(hours=1) * (1 - 1e-15))
    assert world.audit() == Skew(2, 2)


def test_what_answered_no_caller_is_not_asked_again(world: World) -> None:
    world.serve(3.5)
    world.serve(4.5, wind=0.0, shadow=True)
    world.serve(5.5, error="ServiceError: gone")
    assert world.audit() == Skew(1, 1)


def test_what_is_computed_of_hidden_columns_or_hidden_itself_is_not_asked_again() -> None:
    def computed(name: str, takes: str, gives: str) -> RequestTimeFeatures:
        return RequestTimeFeatures(name, {takes: "str"}, {gives: "category"}, "")

    of_hidden, after_it = computed("a_v1", "origin", "area"), computed("b_v1", "area", "state")
    itself, clear = computed("c_v1", "sky", "secret"), computed("d_v1", "sky", "shade")
    hidden = Redaction(frozenset({"origin", "secret"}), b"a secret of the test")
    of = Audited("endpoints/late", "models/late", VIEWS, (of_hidden, after_it, itself, clear), hidden=hidden)
    assert list(of.computed) == [clear]
    assert list(replace(of, hidden=None).computed) == [of_hidden, after_it, itself, clear]


def test_hidden_columns_are_held_against_the_log_as_it_has_them(world: World) -> None:
    world.hidden = Redaction(frozenset({"origin", "sky", "wind"}), b"a secret of the test")
    world.serve(3.5)
    assert world.audit() == Skew(1, 1)
    world.serve(4.5, sky="overcast")
    found = world.audit()
    assert found.differing == {"sky": 1}
    assert "overcast" not in str(found.example)


def test_another_model_is_not_held_up(world: World) -> None:
    world.serve(4.5, wind=0.0)
    world.audit()
    assert objections("models/other", world.lakehouse) == ()
    assert len(objections("models/late", world.lakehouse)) == 1


def test_a_log_without_requests_is_not_enough_to_find_anything(world: World) -> None:
    assert world.audit() == Skew(0, 0)
