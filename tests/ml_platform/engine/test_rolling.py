from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine.parity import Rows, still_answered
from ml_platform.engine.rolling import RolledOut, Roller
from ml_platform.engine.rollout import Guards, Plan
from ml_platform.engine.rollout_log import Entry
from ml_platform.engine.rollout_serving import REHEARSAL, Rolling
from ml_platform.engine.terms import Terms
from ml_platform.errors import ConflictError, GateRefusedError, ServiceError
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.records.job import Needs
from ml_platform.records.prediction import ServedPrediction
from ml_platform.testing.endpoint_host import MOMENT, PLAN, WEATHER, infer_request, publish_views, write_package
from ml_platform.testing.memory_endpoint_host import MemoryEndpointHost
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.feature_store import EmbeddedFeatureStore
from resources.embedded.prediction_log import EmbeddedPredictionLog

NAME, KEY = "arrival_delay", "endpoints/arrival_delay"
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
STEPS = Plan(steps=(0.25, 1.0), shadow=True, guards=Guards(parity_rows=2))


class KilledError(BaseException):
    """The process ends here."""


class Kept:
    """The log of rollouts, in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def last(self) -> Entry | None:
        return self.entries[-1] if self.entries else None

    def write(self, entry: Entry, at: datetime) -> Entry:
        if entry.sequence != len(self.entries):
            raise ConflictError("somebody else wrote meanwhile")
        self.entries.append(replace(entry, sequence=entry.sequence + 1, at=at))
        return self.entries[-1]


class Mortal:
    """Whatever it stands before, until the process is killed, right before the call of that number.

    Nothing that lasts happens between two calls, so that these are all the moments there are.
    """

    def __init__(self, of: Any, life: list[float]) -> None:
        self._of, self._life = of, life

    def __getattr__(self, name: str) -> Any:
        of = getattr(self._of, name)

        def called(*given: Any, **more: Any) -> Any:
            self._life[0] -= 1
            if self._life[0] < 0:
                raise KilledError
            return of(*given, **more)

        return called


class Shared:
    """Online features, and a registry of versions 1, 2 and 3, which answer a quarter, a half and three quarters."""

    def __init__(self, folder: Path) -> None:
        store = {"path": str(folder / "features.sqlite")}
        publish_views(EmbeddedFeatureStore(**store))
        self.store = ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store)
        self.registry = MemoryModelRegistry()
        for version in (1, 2, 3):
            self.registry.register(NAME, write_package(folder / f"v{version}", rate=version / 4), {})


class World:
    """An endpoint's host, registry and logs. shared: what no rollout changes."""

    def __init__(self, shared: Shared, folder: Path) -> None:
        self.store, self.registry = shared.store, shared.registry
        self.look_up = EmbeddedFeatureStore(**self.store.settings).look_up
        log = {"folder": str(folder / "log")}
        self.records = EmbeddedPredictionLog(**log)
        self.log_binding = ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", log)
        self.host, self.kept = MemoryEndpointHost(), Kept()
        self.now = NOW
        self.said: list[str] = []

    def rolling(self, version: int, plan: Plan, **terms: Any) -> Rolling:
        champion = self.registry.version(NAME, str(version))
        assert champion is not None
        request = {"flight_id": "string"}
        asked = [{"flight_id": flight, "event_time": MOMENT} for flight in ("UA1", "B62")]
        rows = Rows(asked, {"carrier": ["UA", "B6"], "wind": [10.0, None]}, "the snapshot")
        return Rolling(
            key=KEY,
            name=NAME,
            champion=champion,
            terms=replace(Terms(version, champion.digest, request, (PLAN, WEATHER)), **terms),
            plan=plan,
            needs=Needs(),
            feature_store=self.store,
            prediction_log=self.log_binding,
            evaluated=lambda features, count: rows,
            answered=lambda records: still_answered(records, ["flight_id"], (PLAN, WEATHER), self.look_up),
        )

    def roll(
        self, version: int, plan: Plan = STEPS, *, life: float = float("inf"), retry: bool = False, **terms: Any
    ) -> RolledOut:
        left = [life]
        mortal: list[Any] = [Mortal(one, left) for one in (self.host, self.registry, self.records, self.kept)]
        rolling = self.rolling(version, plan, **terms)
        return Roller(rolling, *mortal, now=lambda: self.now, say=self.said.append).run(retry=retry)

    @property
    def serving(self) -> tuple[dict[int, float], int | None] | None:
        found = self.host.describe(NAME)
        return ({v: s for v, s in found.split.shares.items() if s}, found.shadow) if found else None

    def ask(self, flights: int) -> None:
        self.host.invoke(NAME, infer_request(*(f"UA{number}" for number in range(flights))))

    def log(self, version: int, count: int, **more: Any) -> None:
        """So many answers of a version stand in the log."""
        one = ServedPrediction("r", NAME, 1, version, NOW, MOMENT, {}, {}, {}, version / 4, 1.0)
        self.records.append([replace(one, request_id=str(number), **more) for number in range(count)])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    return Shared(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def world(shared: Shared, tmp_path: Path) -> World:
    return World(shared, tmp_path)


def test_first_version_serves_wholly_after_parity_in_one_run(world: World) -> None:
    done = world.roll(1)
    assert (done.state.stage, world.serving, done.serving().number) == ("served", ({1: 1.0}, None), 1)
    assert [(each.guard, each.passed) for each in done.found] == [("parity", True)]
    assert "2 rows of the snapshot agree to 1e-06" in done.found[0].said


def test_second_run_changes_nothing_and_writes_nothing(world: World) -> None:
    world.roll(1)
    entries = len(world.kept.entries)
    again = world.roll(1)
    assert (again.moved, again.serving(), len(world.kept.entries)) == (False, again.before, entries)


def test_version_goes_over_shadow_and_steps_to_all_of_it_each_read_back(world: World) -> None:
    world.roll(1)
    world.host.calls.clear()
    done = world.roll(2)
    assert [what for act, what in world.host.calls if act == "deploy"] == [
        ({1: 1.0, 2: 0.0}, None),
        ({1: 1.0, 2: 0.0}, 2),
        ({1: 0.75, 2: 0.25}, None),
        ({1: 0.0, 2: 1.0}, None),
        ({2: 1.0}, None),
    ]
    assert (done.state.stage, world.serving) == ("served", ({2: 1.0}, None))
    stages = [(entry.state.stage, entry.state.share, entry.state.since) for entry in world.kept.entries[4:]]
    # what was wanted, then what was seen, of each
    assert [stage for stage, _, _ in stages[::2]] == [stage for stage, _, _ in stages[1::2]]
    assert {since for _, _, since in stages[::2]} == {None}


def test_soak_ends_the_run_and_a_later_one_takes_the_next_step(world: World) -> None:
    plan = replace(STEPS, soak_minutes=30.0, shadow=False)
    world.roll(1, plan)
    assert world.roll(2, plan).state.share == 0.25
    assert world.roll(2, plan).state.reasons == ("It soaks 30 minutes, and 30 are left.",)
    world.now += timedelta(minutes=30)
    assert world.roll(2, plan).state.share == 1.0
    assert world.serving == ({2: 1.0}, None)
    assert sorted(world.host.describe(NAME).digests) == [1, 2]  # type: ignore[union-attr]
    world.now += timedelta(minutes=30)
    assert world.roll(2, plan).state.stage == "served"
    assert sorted(world.host.describe(NAME).digests) == [2]  # type: ignore[union-attr]


def test_broken_parity_moves_no_traffic_and_is_remembered(world: World) -> None:
    world.roll(1)
    world.host.calls.clear()
    world.host.off_by = 2e-6
    back = world.roll(2)
    assert (back.state.stage, world.serving) == ("rolled back", ({1: 1.0}, None))
    assert "2 answers differ by up to 2e-06; 1e-06 is allowed" in back.state.reasons[0]
    deployed = [what[0] for act, what in world.host.calls if act == "deploy"]
    assert {version for shares in deployed for version, share in shares.items() if share} == {1}
    world.host.off_by = 0.0
    again = world.roll(2)
    assert (again.moved, again.state.stage, world.serving) == (False, "rolled back", ({1: 1.0}, None))
    assert world.roll(2, retry=True).state.stage == "served"


def test_a_version_that_cannot_answer_goes_back_and_is_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.roll(1)

    def fails(*_: object) -> None:
        raise ServiceError("the answer of endpoint late is 500")

    monkeypatch.setattr(world.host, "invoke", fails)
    back = world.roll(2)
    assert (back.state.stage, world.serving) == ("rolled back", ({1: 1.0}, None))
    assert "have no answer by the endpoint: the answer of endpoint late is 500" in back.state.reasons[0]


def test_first_version_without_parity_serves_nobody(world: World) -> None:
    world.host.off_by = 0.1
    done = world.roll(1)
    assert world.serving is None
    with pytest.raises(GateRefusedError, match="version 1 went back, but nothing else has served"):
        done.serving()
    with pytest.raises(GateRefusedError):
        world.roll(1).serving()
    world.host.off_by = 0.0
    assert world.roll(2).state.stage == "served"


def test_new_version_is_tried_after_one_that_went_back(world: World) -> None:
    world.roll(1)
    world.host.off_by = 0.1
    world.roll(2)
    world.host.off_by = 0.0
    done = world.roll(3)
    assert (done.state.stage, world.serving) == ("served", ({3: 1.0}, None))


@pytest.mark.parametrize(
    ("guards", "answers", "said"),
    [
        (
            Guards(parity_rows=2, error_share=0.01),
            {"error": "boom"},
            "error_share is 1 of 100 requests, and 0.01 is allowed",
        ),
        (Guards(parity_rows=2, latency_p99_ms=5.0), {"latency_ms": 50.0}, "latency_p99_ms is 50, and 5 is allowed"),
        # 0.5 and 0.25 fall into bins that the others leave empty: 2 · 0.9999 · ln(1 / 0.0001) = 18.42
        (Guards(parity_rows=2, prediction_drift=0.25), {}, "prediction_drift is 18.42, and 0.25 is allowed"),
    ],
)
@pytest.mark.parametrize("shadow", [True, False])
def test_broken_guard_goes_back_from_the_logs_evidence(
    world: World, guards: Guards, answers: Mapping[str, Any], said: str, shadow: bool
) -> None:
    plan = replace(STEPS, guards=guards, shadow=shadow)
    world.roll(1, plan)
    world.log(1, 100)
    waiting = world.roll(2, plan)
    assert (waiting.state.stage, waiting.state.settled) == ("shadow" if shadow else "step", False)
    assert "waits for 100 answers" in waiting.state.reasons[0]
    world.log(2, 100, named=True)
    assert world.roll(2, plan).state.reasons == waiting.state.reasons
    world.log(2, 100, shadow=shadow, **answers)
    back = world.roll(2, plan)
    assert (back.state.stage, world.serving) == ("rolled back", ({1: 1.0}, None))
    assert said in back.state.reasons[0]


def test_kept_guards_let_it_pass_step_by_step(world: World) -> None:
    plan = replace(
        STEPS, shadow=False, guards=Guards(parity_rows=2, error_share=0.0, latency_p99_ms=5.0, minimum_requests=10)
    )
    world.roll(1, plan)
    shares = []
    for _ in range(3):
        shares.append(world.roll(2, plan).state.share)
        world.log(2, 10)
    assert (shares, world.serving) == ([0.25, 1.0, 0.0], ({2: 1.0}, None))


def test_evidence_of_one_step_says_nothing_of_the_next(world: World) -> None:
    plan = replace(STEPS, shadow=False, guards=Guards(parity_rows=2, error_share=0.0, minimum_requests=10))
    world.roll(1, plan)
    world.roll(2, plan)
    world.log(2, 10)
    assert world.roll(2, plan).state.reasons == ("error_share waits for 10 answers, and has 0.",)


def test_logged_requests_are_compared_where_there_are_enough(world: World) -> None:
    plan = replace(STEPS, guards=Guards(parity_rows=3))
    world.roll(1)
    world.ask(3)
    assert world.roll(2, plan).found[0].said == "Kept: 3 rows of logged requests agree to 1e-06."


def test_requests_that_the_store_does_not_answer_as_it_did_are_not_compared_by(world: World) -> None:
    plan = replace(STEPS, steps=(1.0,), shadow=False)
    world.roll(1, plan)
    world.ask(3)
    # given that the wind was another when they were answered, as where a row came late, or has left the store
    served, cursor = world.records.since(NAME, 0, 100)
    world.records.expire(NAME, cursor, datetime.now(UTC) + timedelta(days=1))
    other = [replace(one, features={**one.features, "wind": 77.0}) for one in served]
    world.records.append([*other, served[0]])
    # then the one that is left is too few, and what is compared is of the snapshot
    assert world.roll(2, plan).found[0].said == "Kept: 2 rows of the snapshot agree to 1e-06."


def test_without_a_word_of_parity_two_hundred_rows_are_compared(world: World) -> None:
    refused = world.roll(1, Plan())
    assert (refused.state.stage, world.serving) == ("rolled back", None)
    assert "2 of 200 rows" in refused.found[0].said
    # given two hundred logged requests, once something serves
    world.roll(1, Plan(guards=Guards(parity_rows=2)), retry=True)
    world.ask(200)
    assert world.roll(2, Plan()).found[0].said == "Kept: 200 rows of logged requests agree to 1e-06."


def test_parity_that_is_declared_away_is_not_looked_at_and_that_is_told(world: World) -> None:
    world.host.off_by = 0.1
    done = world.roll(1, Plan(guards=Guards(parity_rows=0)))
    assert (done.state.stage, world.serving) == ("served", ({1: 1.0}, None))
    assert done.found[0].said == "Kept: parity is declared not to be looked at."


def test_fewer_rows_than_are_declared_compare_nothing(world: World) -> None:
    back = world.roll(1, replace(STEPS, guards=Guards(parity_rows=3)))
    assert (back.state.stage, world.serving) == ("rolled back", None)
    assert "parity has 2 of 3 rows to compare by" in back.state.reasons[0]
    assert "set rollout.guards.parity.rows to 2" in back.state.reasons[0]


def test_server_that_is_gone_comes_back_beside_the_version_that_is_wanted_meanwhile(world: World) -> None:
    plan = replace(STEPS, soak_minutes=30.0, shadow=False)
    world.roll(1, plan)
    world.host.retire(NAME)
    world.host.calls.clear()
    assert (world.roll(2, plan).state.stage, world.serving) == ("step", ({1: 0.75, 2: 0.25}, None))
    assert world.host.calls[0][1] == ({1: 1.0, 2: 0.0}, None)


def test_version_that_nobody_has_any_more_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.roll(1)
    world.host.retire(NAME)
    known = world.registry.version
    monkeypatch.setattr(world.registry, "version", lambda name, which: None if which == "1" else known(name, which))
    assert (world.roll(2).state.stage, world.serving) == ("served", ({2: 1.0}, None))


def test_views_go_back_with_the_package_that_was_served_on_them(world: World) -> None:
    """Another view of the same features cannot stand beside the first: the endpoint changes as a whole, and back."""
    narrow = replace(WEATHER, ttl_hours=1)
    plan = replace(STEPS, guards=Guards(parity_rows=2, error_share=0.0, minimum_requests=5))
    world.roll(1, plan)
    waiting = world.roll(2, plan, views=(PLAN, narrow))
    assert (waiting.state.beside, waiting.state.stage, world.serving) == (False, "step", ({2: 1.0}, None))
    told = "No server can have versions 1 and 2 at once, so it changes as a whole, without its shadow and steps."
    assert (waiting.state.reasons[0], told in world.said) == (told, True)
    assert world.host._serving[NAME].spec.views == (PLAN, narrow)
    assert world.host.describe(f"{NAME}{REHEARSAL}") is None
    world.log(2, 5, error="boom")
    back = world.roll(2, plan, views=(PLAN, narrow))
    assert (back.state.stage, world.serving) == ("rolled back", ({1: 1.0}, None))
    assert world.host._serving[NAME].spec.views == (PLAN, WEATHER)


def test_same_version_on_other_terms_is_rehearsed_before_it_takes_the_place(world: World) -> None:
    world.roll(1)
    world.host.calls.clear()
    world.host.off_by = 0.1
    back = world.roll(1, views=(PLAN, replace(WEATHER, ttl_hours=1)))
    assert back.state.stage == "rolled back"
    assert world.host._serving[NAME].spec.views == (PLAN, WEATHER)
    assert ("retire", f"{NAME}{REHEARSAL}") in world.host.calls


def test_what_serves_already_is_taken_for_what_one_goes_back_to(world: World) -> None:
    world.roll(1)
    world.kept.entries.clear()
    world.host.off_by = 0.1
    assert (world.roll(2).state.stage, world.serving) == ("rolled back", ({1: 1.0}, None))


def test_host_that_says_one_thing_and_serves_another_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.roll(1)
    monkeypatch.setattr(world.host, "deploy", lambda spec: None)
    with pytest.raises(
        ServiceError, match=r"was to serve version 1 for 100 %, version 2 for 0 %, but what is read back"
    ):
        world.roll(2, replace(STEPS, shadow=True, steps=(1.0,)))
    assert world.serving == ({1: 1.0}, None)


def killed_everywhere(
    shared: Shared, tmp_path: Path, go: Callable[[World, float], object], prepare: Callable[[World], object]
) -> Sequence[tuple[World, object]]:
    """A world for every moment at which a rollout can be killed, as it is then, and what serves in it."""
    found = []
    for life in range(10_000):
        world = World(shared, tmp_path / str(life))
        prepare(world)
        try:
            go(world, life)
        except KilledError:
            found.append((world, world.serving))
            continue
        return found
    raise AssertionError("it never ends")


def test_rollout_that_is_killed_anywhere_serves_one_of_its_states_and_ends_well(shared: Shared, tmp_path: Path) -> None:
    found = killed_everywhere(
        shared, tmp_path, lambda world, life: world.roll(2, life=life), lambda world: world.roll(1)
    )
    right: list[object] = [({1: 1.0}, None), ({1: 1.0}, 2), ({1: 0.75, 2: 0.25}, None), ({2: 1.0}, None)]
    assert len(found) > 35
    for world, serving in found:
        assert serving in right
        done = world.roll(2)
        assert (done.state.stage, world.serving) == ("served", ({2: 1.0}, None))


def test_roll_back_that_is_killed_anywhere_leaves_the_old_version_wholly(shared: Shared, tmp_path: Path) -> None:
    plan = replace(STEPS, shadow=False, guards=Guards(parity_rows=2, error_share=0.0, minimum_requests=1))

    def prepare(world: World) -> None:
        world.roll(1, plan)
        world.roll(2, plan)
        world.log(2, 1, error="boom")

    found = killed_everywhere(shared, tmp_path, lambda world, life: world.roll(2, plan, life=life), prepare)
    assert len(found) > 8
    for world, serving in found:
        assert serving in [({1: 1.0}, None), ({1: 0.75, 2: 0.25}, None)]
        done = world.roll(2, plan)
        assert (done.state.stage, world.serving) == ("rolled back", ({1: 1.0}, None))


def test_rehearsal_that_is_killed_anywhere_is_gone_in_the_end(shared: Shared, tmp_path: Path) -> None:
    narrow = (PLAN, replace(WEATHER, ttl_hours=1))
    found = killed_everywhere(
        shared, tmp_path, lambda world, life: world.roll(2, life=life, views=narrow), lambda world: world.roll(1)
    )
    for world, serving in found:
        assert serving in [({1: 1.0}, None), ({2: 1.0}, None)]
        assert world.roll(2, views=narrow).state.stage == "served"
        assert world.host.describe(f"{NAME}{REHEARSAL}") is None


def test_first_version_that_is_killed_anywhere_serves_nobody_before_it_was_compared(
    shared: Shared, tmp_path: Path
) -> None:
    def differs(world: World) -> None:
        world.host.off_by = 0.1

    broken = killed_everywhere(shared, tmp_path / "broken", lambda world, life: world.roll(1, life=life), differs)
    assert len(broken) > 8
    for world, serving in broken:
        assert serving is None
        assert world.roll(1).state.stage == "rolled back"
        assert (world.serving, world.host.describe(f"{NAME}{REHEARSAL}")) == (None, None)
    sound = killed_everywhere(shared, tmp_path / "sound", lambda world, life: world.roll(1, life=life), lambda _: None)
    assert {str(serving) for _, serving in sound} == {"None", "({1: 1.0}, None)"}
    for world, _ in sound:
        assert (world.roll(1).state.stage, world.serving) == ("served", ({1: 1.0}, None))
        assert world.host.describe(f"{NAME}{REHEARSAL}") is None


def test_bringing_back_a_server_that_is_killed_anywhere_forgets_no_version_that_stood(
    shared: Shared, tmp_path: Path
) -> None:
    plan = replace(STEPS, soak_minutes=30.0, shadow=False)

    def gone(world: World) -> None:
        world.roll(1, plan)
        world.host.retire(NAME)

    found = killed_everywhere(shared, tmp_path, lambda world, life: world.roll(1, plan, life=life), gone)
    assert len(found) > 3
    for world, _ in found:
        world.host.retire(NAME)
        world.roll(2, plan)
        assert world.serving == ({1: 0.75, 2: 0.25}, None)


def test_what_a_rehearsal_logs_is_nobodys_traffic_and_does_not_stay(world: World) -> None:
    rehearsal = ServedPrediction("r", f"{NAME}{REHEARSAL}", 1, 1, NOW, MOMENT, {}, {}, {}, 0.25, 1.0)
    world.records.append([rehearsal])
    world.roll(1)
    assert world.records.since(f"{NAME}{REHEARSAL}", 0, 10)[0] == []
