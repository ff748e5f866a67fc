"""The contract of an endpoint host, and a small endpoint to host."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine.estimators.baseline import BaselineEstimator
from ml_platform.engine.hosting import CAPABILITIES, IDLE, REQUEST_KEY, SHADOW, cannot
from ml_platform.engine.package import Feature, ModelCard, digest, write_card
from ml_platform.engine.rollout_serving import REHEARSAL
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.jobs.serving.served import built
from ml_platform.records.endpoint import EndpointSpec, Revision, ServiceBinding, TrafficSplit
from ml_platform.records.feature import FeatureView
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.prediction_log import PredictionLog
from ml_platform.testing.feature_store import rows_of
from ml_platform.testing.rollout import KilledError, Rollouts

MOMENT = datetime(2013, 12, 30, 21, tzinfo=UTC)
PLAN = FeatureView("plan_v1", entity=("flight_id",), features=("carrier", "origin"), ttl_hours=2000)
WEATHER = FeatureView("weather_v1", entity=("origin",), features=("wind",), ttl_hours=6)
FEATURES = (Feature("carrier", "category", ("B6", "UA")), Feature("wind", "number"))


def write_package(folder: Path, rate: float) -> Path:
    """A package of a model that takes a carrier and a wind, and answers the same rate to all of them."""
    folder.mkdir(parents=True)
    write_card(folder, ModelCard("binary", "baseline", "late", FEATURES, parameters={}, seed=1))
    BaselineEstimator(rate).save(folder)
    return folder


def publish_views(store: FeatureStore) -> None:
    """The plans of two flights, and at JFK a wind of 10 before the moment, known then, and one of 99 after it."""
    known = MOMENT - timedelta(days=30)
    plans = rows_of(PLAN, ("UA1", known, known, "UA", "JFK"), ("B62", known, known, "B6", "LGA"))
    hour = timedelta(hours=1)
    observed = [(MOMENT - hour, 10.0), (MOMENT + hour, 99.0)]
    weather = rows_of(WEATHER, *(("JFK", time, time, wind) for time, wind in observed))
    store.publish(PLAN, plans, known, "1")
    store.publish(WEATHER, weather, known, "1")


def endpoint_spec(packages: Mapping[int, Path], feature_store: ServiceBinding, log: ServiceBinding) -> EndpointSpec:
    """An endpoint that sends all traffic to its latest version, and finds a flight's origin before its weather."""
    return EndpointSpec(
        name="arrival_delay",
        packages={version: str(folder) for version, folder in packages.items()},
        split=TrafficSplit({max(packages): 1.0}),
        request={"flight_id": "string"},
        views=(PLAN, WEATHER),
        feature_store=feature_store,
        prediction_log=log,
    )


def infer_request(*flights: str, moment: str = "2013-12-30T16:00:00-05:00", **more: Any) -> dict[str, Any]:
    """The V2 request for those flights at a moment."""
    shape = [len(flights)]
    return {
        "inputs": [
            {"name": "flight_id", "shape": shape, "datatype": "BYTES", "data": list(flights)},
            {"name": "event_time", "shape": shape, "datatype": "BYTES", "data": [moment] * len(flights)},
        ],
        **more,
    }


def logged(spec: EndpointSpec, rows: int, seconds: float = 20.0) -> Sequence[ServedPrediction]:
    """What the endpoint's log holds, which is that many rows, once they are there or the time is up."""
    log: PredictionLog = built(spec.prediction_log)
    deadline = time.monotonic() + seconds
    while len(found := log.since(spec.name, 0, rows + 1)[0]) < rows and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


class EndpointHostContract:
    """What every endpoint host keeps. Inherit it and supply `host` and `spec`; retire what the host served."""

    @pytest.fixture
    def host(self) -> EndpointHost:
        """A host that serves nothing yet."""
        raise NotImplementedError

    @pytest.fixture
    def spec(self) -> EndpointSpec:
        """An `endpoint_spec` of version 1, whose views are published."""
        raise NotImplementedError

    @pytest.fixture
    def successor(self, spec: EndpointSpec, tmp_path: Path) -> EndpointSpec:
        """The same endpoint with version 2."""
        package = write_package(tmp_path / "successor", rate=0.75)
        return replace(spec, packages={2: str(package)}, split=TrafficSplit({2: 1.0}))

    def test_deployed_endpoint_serves_what_was_asked(self, host: EndpointHost, spec: EndpointSpec) -> None:
        assert host.describe(spec.name) is None
        revision = host.deploy(spec)
        assert revision == Revision(
            endpoint=spec.name,
            number=1,
            split=TrafficSplit({1: 1.0}),
            digests={1: digest(Path(spec.packages[1]))},
            url=revision.url,
            ready=True,
        )
        assert host.describe(spec.name) == revision
        answer = host.invoke(spec.name, infer_request("UA1", "B62", id="mine"))
        assert (answer["model_name"], answer["model_version"], answer["id"]) == (spec.name, "1", "mine")
        assert answer["outputs"] == [
            {"name": "probability", "shape": [2], "datatype": "FP64", "data": [0.25, 0.25]},
        ]

    def test_same_spec_is_left_as_it_is_and_a_change_is_numbered(
        self, host: EndpointHost, spec: EndpointSpec, successor: EndpointSpec
    ) -> None:
        first = host.deploy(spec)
        assert host.deploy(spec) == first
        second = host.deploy(successor)
        assert (second.number, second.url, list(second.digests)) == (2, first.url, [2])
        assert host.invoke(spec.name, infer_request("UA1"))["outputs"][0]["data"] == [0.75]
        back = host.deploy(spec)
        assert (back.number, back.digests) == (3, first.digests)
        assert host.describe(spec.name) == back

    def test_version_without_traffic_answers_whoever_names_it(
        self, host: EndpointHost, spec: EndpointSpec, successor: EndpointSpec
    ) -> None:
        both = replace(spec, packages={**spec.packages, **successor.packages}, split=TrafficSplit({1: 1.0, 2: 0.0}))
        if IDLE in cannot(host):
            with pytest.raises(ServiceError, match=r"asks for idle.*its host does not"):
                host.deploy(both)
            return
        revision = host.deploy(both)
        assert revision.split == TrafficSplit({1: 1.0, 2: 0.0})
        assert sorted(revision.digests) == [1, 2]
        assert host.invoke(spec.name, infer_request("UA1"))["outputs"][0]["data"] == [0.25]
        named = host.invoke(spec.name, infer_request("UA1", parameters={"model_version": "2"}))
        assert (named["model_version"], named["outputs"][0]["data"]) == ("2", [0.75])
        with pytest.raises(ServiceError, match="version 3 is asked for"):
            host.invoke(spec.name, infer_request("UA1", parameters={"model_version": "3"}))
        assert [(row.model_version, row.named) for row in logged(spec, 2)] == [(1, False), (2, True)]

    def test_traffic_is_split_by_the_requests_key(
        self, host: EndpointHost, spec: EndpointSpec, successor: EndpointSpec
    ) -> None:
        if REQUEST_KEY in cannot(host):
            # its own suite says how it splits
            assert cannot(host) <= CAPABILITIES.keys()
            return
        both = replace(spec, packages={**spec.packages, **successor.packages}, split=TrafficSplit({1: 0.5, 2: 0.5}))
        assert host.deploy(both).split == both.split
        flights = [f"UA{number}" for number in range(40)]
        versions = host.invoke(spec.name, infer_request(*flights))["parameters"]["model_versions"]
        again = host.invoke(spec.name, infer_request(*flights))["parameters"]["model_versions"]
        # the odds against all keys going one way are 2 to the 39th
        assert set(versions) == {1, 2}
        assert versions == again

    def test_shadow_answers_a_copy_that_only_the_log_sees(
        self, host: EndpointHost, spec: EndpointSpec, successor: EndpointSpec
    ) -> None:
        shadowed = replace(
            spec, packages={**spec.packages, **successor.packages}, split=TrafficSplit({1: 1.0, 2: 0.0}), shadow=2
        )
        if SHADOW in cannot(host):
            with pytest.raises(ServiceError, match=r"asks for shadow.*its host does not"):
                host.deploy(shadowed)
            return
        revision = host.deploy(shadowed)
        assert (revision.shadow, host.describe(spec.name)) == (2, revision)
        answer = host.invoke(spec.name, infer_request("UA1", "B62"))
        assert (answer["model_version"], answer["outputs"][0]["data"]) == ("1", [0.25, 0.25])
        rows = logged(spec, 4)
        assert [(row.model_version, row.output, row.shadow) for row in rows] == [
            *[(1, 0.25, False)] * 2,
            *[(2, 0.75, True)] * 2,
        ]
        assert [row.request_id for row in rows] == answer["parameters"]["request_ids"] * 2

    def test_version_rolls_out_over_a_killed_run_and_back_from_all_of_the_traffic(
        self, host: EndpointHost, spec: EndpointSpec, successor: EndpointSpec, tmp_path: Path
    ) -> None:
        # given a first version, which serves
        world = Rollouts(host, spec, MOMENT, tmp_path)
        first, second = (world.register(Path(it)) for it in (spec.packages[1], successor.packages[2]))
        assert (world.roll(first).state.stage, world.serving) == ("served", {1: 1.0})
        # when the run of the second is killed right behind its step
        with pytest.raises(KilledError):
            world.roll(second, killed=lambda entry: entry.state.stage == "step" and entry.state.since is not None)
        assert world.serving == {1: 0.5, 2: 0.5}
        # then another takes it up where it was, and on to all of the traffic
        assert (world.roll(second).state.share, world.serving) == (0.5, {1: 0.5, 2: 0.5})
        world.answered(second, 3)
        assert (world.roll(second).state.share, world.serving) == (1.0, {2: 1.0})
        # and one whose answers are errors goes back, whatever its share
        world.answered(second, 3, error="boom")
        back = world.roll(second)
        assert (back.state.stage, world.serving) == ("rolled back", {1: 1.0})
        assert "error_share is 1 of 3 requests" in back.state.reasons[0]
        assert host.invoke(spec.name, infer_request("UA1"))["outputs"][0]["data"] == [0.25]

    def test_views_that_cannot_stand_beside_the_old_ones_change_as_a_whole_and_go_back(
        self, host: EndpointHost, spec: EndpointSpec, successor: EndpointSpec, tmp_path: Path
    ) -> None:
        # given a version that serves, and another that is served on another view of the same column
        world = Rollouts(host, spec, MOMENT, tmp_path)
        first, second = (world.register(Path(it)) for it in (spec.packages[1], successor.packages[2]))
        world.roll(first)
        narrow = (PLAN, replace(WEATHER, ttl_hours=2))
        # when it is rolled out, it is compared on a rehearsal and then has all of the traffic at once
        moved = world.roll(second, views=narrow)
        assert (moved.state.stage, moved.state.share, world.serving) == ("step", 1.0, {2: 1.0})
        assert [found.passed for found in moved.found] == [True, None]
        assert host.describe(f"{spec.name}{REHEARSAL}") is None
        assert host.invoke(spec.name, infer_request("UA1"))["outputs"][0]["data"] == [0.75]
        # and package and views go back together
        world.answered(second, 3, error="boom")
        assert (world.roll(second, views=narrow).state.stage, world.serving) == ("rolled back", {1: 1.0})
        assert host.invoke(spec.name, infer_request("UA1"))["outputs"][0]["data"] == [0.25]

    def test_spec_that_cannot_be_served_leaves_what_serves(
        self, host: EndpointHost, spec: EndpointSpec, tmp_path: Path
    ) -> None:
        revision = host.deploy(spec)
        package = write_package(tmp_path / "damaged", rate=0.5)
        (package / "rate.json").write_text("{")
        with pytest.raises(ServiceError, match=r"rate\.json"):
            host.deploy(replace(spec, packages={2: str(package)}, split=TrafficSplit({2: 1.0})))
        assert host.describe(spec.name) == revision
        assert host.invoke(spec.name, infer_request("UA1"))["model_version"] == "1"

    def test_first_spec_that_cannot_be_served_leaves_nothing(
        self, host: EndpointHost, spec: EndpointSpec, tmp_path: Path
    ) -> None:
        (Path(spec.packages[1]) / "rate.json").write_text("{")
        with pytest.raises(ServiceError, match=r"rate\.json"):
            host.deploy(spec)
        assert host.describe(spec.name) is None

    def test_bad_request_is_told_in_the_endpoints_own_words(self, host: EndpointHost, spec: EndpointSpec) -> None:
        host.deploy(spec)
        with pytest.raises(ServiceError, match="input 'event_time' is"):
            host.invoke(spec.name, infer_request("UA1", moment="2013-12-30T16:00:00"))

    def test_endpoint_that_is_not_served_is_not_found(self, host: EndpointHost) -> None:
        with pytest.raises(NotFoundError, match="arrival_delay"):
            host.invoke("arrival_delay", infer_request("UA1"))

    def test_retired_endpoint_is_gone_and_its_numbers_go_on(
        self, host: EndpointHost, spec: EndpointSpec, successor: EndpointSpec
    ) -> None:
        host.retire(spec.name)
        host.deploy(spec)
        host.retire(spec.name)
        host.retire(spec.name)
        assert host.describe(spec.name) is None
        with pytest.raises(NotFoundError):
            host.invoke(spec.name, infer_request("UA1"))
        assert host.deploy(successor).number == 2
