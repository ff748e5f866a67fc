from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from candidates import World, promotion

from ml_platform.engine.alias_log import moves, promoted_by_command
from ml_platform.engine.champion import CHAMPION
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.fitting import CHALLENGER
from ml_platform.engine.gate import GateRules, SliceRule
from ml_platform.engine.promotion import promote
from ml_platform.engine.taints import TAG
from ml_platform.errors import GateRefusedError, NotFoundError, ServiceError
from ml_platform.records.metric import METRICS, Task
from ml_platform.testing import training_set


def before_each_move(world: World, act: Callable[[], object]) -> None:
    """Something is done whenever evidence stands by which a candidate is to be promoted, and before it is."""
    record = world.registry.record

    def recorded(name: str, number: int, tags: dict[str, str]) -> None:
        record(name, number, tags)
        if json.loads(tags.get("gate", "{}")).get("decision", {}).get("promoted"):
            act()

    world.registry.record = recorded  # type: ignore[method-assign, assignment]


def test_the_first_version_that_keeps_the_floors_becomes_champion(world: World) -> None:
    number = world.candidate("linear")

    done = world.promote()

    assert done.decision.promoted
    assert world.champion() == number
    assert world.evidence(number)["decision"]["candidate"]["roc_auc"] > 0.6


def test_a_first_version_below_a_floor_is_an_error_and_no_champion_stands(world: World) -> None:
    number = world.candidate("baseline")

    with pytest.raises(GateRefusedError, match=r"version 1 did not pass its gate.*roc_auc"):
        world.promote()

    assert world.champion() is None
    assert world.evidence(number)["decision"]["promoted"] is False


def test_a_worse_candidate_is_refused_and_the_champion_stays(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()
    worse = world.candidate("baseline")

    done = world.promote()

    assert not done.decision.promoted
    assert done.champion.number == world.champion() == champion
    told = world.evidence(worse)["decision"]
    assert told["champion"]["log_loss"] < told["candidate"]["log_loss"]
    assert told["improvement"]["high"] < 0


def test_a_better_candidate_takes_over(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    better = world.candidate("linear")

    assert world.promote().decision.promoted
    assert world.champion() == better


@pytest.mark.parametrize(
    ("task", "rules"),
    [("multiclass", GateRules("log_loss", {"accuracy": 0.4})), ("regression", GateRules("rmse", {"rmse": 20}))],
)
def test_other_tasks_pass_the_same_gate(world: World, task: Task, rules: GateRules) -> None:
    world.candidate("baseline", task=task)
    world.promote(rules, task)
    better = world.candidate("linear", task=task)

    done = world.promote(rules, task)

    assert done.decision.promoted
    assert world.champion() == better
    assert done.decision.measured.candidate.keys() >= {*METRICS[task]}


def test_a_candidate_of_another_question_has_no_common_ground(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()
    world.candidate("linear", task="regression")

    done = world.promote()

    assert world.champion() == champion
    (reason,) = done.decision.reasons
    assert "version 2 a regression one and version 1 a binary one" in reason


def test_a_model_that_is_compared_with_itself_is_refused(world: World) -> None:
    # given the very bytes of the champion under another number
    champion = world.candidate("linear")
    world.promote()
    same = world.candidate("linear")
    assert world.version(same).digest == world.version(champion).digest

    done = world.promote()

    assert not done.decision.promoted
    assert "better by 0 to 0 in an interval of 95 %, and must be better strictly" in done.decision.reasons[-1]
    assert world.champion() == champion


def test_a_tainted_champion_gives_way_to_its_equal_that_is_not(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()
    clean = world.candidate("linear")
    assert not world.promote().decision.promoted
    # when it turns out that what the champion learned from was wrong, then nothing is scored again
    world.registry.record("late", champion, {TAG: "{}"})
    done = world.promote()
    assert (world.champion(), done.evaluated) == (clean, False)
    assert done.decision.reasons[-1].endswith("must not be worse over all of it: the champion is tainted.")
    # and the new champion keeps its rules
    assert world.promote().decision.promoted


def test_a_candidate_that_wins_on_average_and_fails_a_slice_is_refused(world: World) -> None:
    # given one that has learned of AA's flights from a coin, and a champion that knows nothing of any
    champion = world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    on_average = world.candidate("linear", coin_for="AA")
    by_carrier = SliceRule(("carrier",), "log_loss", 0.65, 100)

    done = world.promote(GateRules("log_loss", {"roc_auc": 0.6}, slices=by_carrier))

    assert world.champion() == champion
    broken = [reason for reason in done.decision.reasons if reason.startswith("Broken: ")]
    assert len(broken) == 1
    assert "rows where carrier is AA" in broken[0]
    assert "Kept: log_loss is" in done.decision.reasons[-1]
    # Without the rule, it would have been promoted.
    assert world.promote(GateRules("log_loss", {"roc_auc": 0.6})).champion.number == on_average


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("expected_calibration_error", (None, 1e-6)),
        ("calibration_slope", (5.0, None)),
        ("calibration_intercept", (2.0, None)),
        ("latency_median_ms", (None, 1e-9)),
        ("latency_p99_ms", (None, 1e-9)),
        ("size_mib", (None, 1e-6)),
    ],
)
def test_each_limit_refuses_what_was_really_measured(world: World, name: str, bounds: tuple[float, float]) -> None:
    world.candidate("linear")

    with pytest.raises(GateRefusedError, match=rf"Broken: {name} of the candidate is [\d.e-]+, and must be"):
        world.promote(GateRules("log_loss", {"roc_auc": 0.6}, limits={name: bounds}))

    assert world.champion() is None


def test_evidence_that_is_missing_refuses(world: World) -> None:
    # given a split that no row is in
    world.candidate("linear")
    world.pin = training_set.write(world.table, training_set.rows().slice(0, 4000))
    champion = world.candidate("linear")

    with pytest.raises(GateRefusedError, match="roc_auc of the candidate is not known"):
        world.promote()

    assert world.evidence(champion)["decision"]["candidate"] == {}


def test_a_better_candidate_is_refused_while_chance_can_explain_it(world: World) -> None:
    # given a hundred rows, on which it is better by little
    world.pin = training_set.write(world.table, training_set.rows().slice(4900, 100))
    world.candidate("gradient_boosting", parameters={"rounds": 40})
    world.promote()
    world.candidate("linear")

    done = world.promote()

    assert world.champion() == 1
    improvement = done.decision.measured.improvement
    assert improvement.low < 0 < improvement.estimate


def test_both_are_scored_on_the_rows_that_the_candidate_pins(world: World) -> None:
    world.candidate("linear")
    world.promote()
    world.candidate("baseline")
    world.promote()

    first, second = world.runner.submitted
    assert first.arguments["rows"] == second.arguments["rows"] == {**world.pin, "where": [["split", "=", "test"]]}
    assert set(second.arguments["models"]) == {"1", "2"}


def test_a_champion_is_never_scored_against_itself(world: World) -> None:
    world.candidate("linear")
    world.promote()

    again = world.promote()

    assert again.decision.promoted
    assert not again.evaluated
    assert len(world.runner.submitted) == 1


def test_a_standing_champion_is_told_when_it_breaks_todays_rules(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()

    done = world.promote(GateRules("log_loss", {"roc_auc": 0.9999}))

    assert not done.decision.promoted
    assert "must be at least 0.9999" in done.decision.reasons[0]
    assert done.champion.number == world.champion() == champion
    assert len(world.runner.submitted) == 1


def test_the_numbers_that_made_a_champion_stay_with_it(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    better = world.candidate("linear")
    world.promote()

    again = world.promote()

    assert again.decision.measured.champion == world.evidence(better)["decision"]["champion"] != {}
    assert not again.evaluated


def test_a_champion_that_takes_a_column_of_old_is_no_common_ground(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()
    narrow = training_set.rows().drop_columns(["wind"])
    world.pin = training_set.write(world.table, narrow)
    world.candidate("linear", features={"hour": "number", "carrier": "category"})

    done = world.promote()

    assert not done.decision.promoted
    assert "version 1 takes wind" in done.decision.reasons[0]
    assert world.champion() == champion


def test_a_refused_candidate_is_not_scored_again_until_the_question_changes(world: World) -> None:
    world.candidate("linear")
    world.promote()
    world.candidate("baseline")
    world.promote()

    assert not world.promote().evaluated
    assert world.promote(GateRules("brier", {"roc_auc": 0.6})).evaluated


def test_a_scoring_job_that_fails_moves_nothing(world: World) -> None:
    world.candidate("linear")
    world.runner.fail_with = "no more memory"

    with pytest.raises(ServiceError, match="no more memory"):
        world.promote()

    assert world.champion() is None


def test_the_evidence_names_the_snapshot_and_both_versions(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    better = world.candidate("linear")

    done = world.promote()

    told = world.evidence(better)
    assert told["snapshot"] == {"key": "training_sets/late", "version": 0, "fingerprint": "f"}
    assert told["candidate"] == {"number": 2, "digest": world.version(2).digest}
    assert told["champion"] == {"number": 1, "digest": world.version(1).digest}
    assert told["decision"]["improvement"]["low"] > 0
    assert told["decision"]["reasons"] == list(done.decision.reasons)
    assert (done.opponent, done.moved) == (1, True)


def test_the_evidence_stands_before_the_alias_moves(world: World) -> None:
    world.candidate("linear")
    world.registry.calls.clear()

    world.promote()

    assert world.registry.calls.index("record") < world.registry.calls.index("move_alias")


def test_a_model_without_a_candidate_has_nothing_to_examine(world: World) -> None:
    with pytest.raises(NotFoundError, match="models/late has no candidate"):
        world.promote()


def test_nothing_is_promoted_while_served_features_differ_and_it_is_once_they_do_not(world: World) -> None:
    # given a champion, an endpoint of it in which skew was found, and a better candidate
    first = world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    verdicts = filesystem(world.lakehouse.files("platform/skew/models.late"))
    put(verdicts, "endpoints.late.json", json.dumps({"requests": 9, "through": 9, "differing": {"wind": 2}}).encode())
    second = world.candidate("linear")
    # then it is refused, and told by which feature
    refused = world.promote()
    assert (world.champion(), refused.decision.promoted) == (first, False)
    assert "requests to endpoints.late, served and offline features differ: wind in 2." in refused.decision.reasons[0]
    # when newer requests are clean, it takes over
    put(verdicts, "endpoints.late.json", json.dumps({"requests": 5, "through": 14, "differing": {}}).encode())
    assert world.promote().decision.promoted
    assert world.champion() == second


def test_the_gate_tells_of_its_moves(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    world.candidate("linear")

    done = world.promote()

    assert [(move.number, move.was, move.by) for move in done.moves] == [(1, None, "gate"), (2, 1, "gate")]
    assert world.promote().moves == done.moves == moves(world.registry.versions("late"))


def taken_off(world: World) -> None:
    """The gate has promoted version 2, and somebody has put version 1 back."""
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    world.candidate("linear")
    world.promote()
    world.registry.move_alias("late", CHAMPION, 1)


def test_an_alias_that_was_moved_by_hand_is_recorded_and_stays_where_it_was_put(world: World) -> None:
    # given a champion that somebody takes off, putting the one before in its place
    taken_off(world)
    # when the gate runs again
    done = world.promote()
    # then that is told with the version that it is found on, and is not undone
    assert (done.moves[-1].number, done.moves[-1].was, done.moves[-1].by) == (1, 2, "hand")
    assert done.champion.number == world.champion() == 1
    assert not done.decision.promoted
    assert "version 2 was taken off by somebody, and does not come back by itself" in done.decision.reasons[0]
    assert world.promote().moves == done.moves
    # and another candidate has its chance
    world.candidate("gradient_boosting", parameters={"rounds": 30})
    assert world.promote().moves[-1].by == "gate"
    assert world.champion() == 3


def test_what_was_taken_off_does_not_come_back_after_the_gates_next_move(world: World) -> None:
    # given a version that somebody took off, and a worse one that the gate has promoted since
    taken_off(world)
    world.candidate("linear", coin_for="AA")
    assert world.promote().moved
    # when it is the candidate again, then it is refused
    world.registry.move_alias("late", CHALLENGER, 2)
    done = world.promote()
    assert (world.champion(), done.decision.promoted) == (3, False)
    assert "version 2 was taken off by somebody" in done.decision.reasons[0]
    assert world.evidence(2)["decision"]["improvement"]["low"] > 0
    # until a person brings it back
    promoted_by_command("late@2", "it was never at fault", world.registry)
    assert world.promote().decision.promoted


def test_a_removed_alias_leaves_the_next_candidate_to_the_floors(world: World) -> None:
    world.candidate("linear")
    world.promote()
    world.registry.remove_alias("late", CHAMPION)
    with pytest.raises(GateRefusedError, match="version 1 was taken off by somebody"):
        world.promote()
    world.candidate("linear", seed=2)
    done = world.promote()
    assert [(move.number, move.was, move.by) for move in done.moves[1:]] == [(None, 1, "hand"), (2, None, "gate")]
    assert "no champion stands" in done.decision.reasons[-1]


def killed_at(world: World, method: str, monkeypatch: pytest.MonkeyPatch, holding: str = "") -> None:
    """The gate is killed when it calls the registry's method, with something among its arguments."""
    called = getattr(world.registry, method)

    def killed(*arguments: object) -> None:
        if holding in str(arguments[-1]):
            raise KeyboardInterrupt
        called(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(world.registry, method, killed)
        with pytest.raises(KeyboardInterrupt):
            world.promote()


def test_a_gate_that_was_killed_before_it_told_of_its_move_tells_of_it_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.candidate("linear")
    killed_at(world, "record", monkeypatch, holding="promotions")
    assert (world.champion(), moves(world.registry.versions("late"))) == (1, ())
    assert [move.by for move in world.promote().moves] == ["gate"]


@pytest.mark.parametrize(("method", "holding"), [("record", "promotion_intended"), ("move_alias", "")])
def test_a_gate_that_was_killed_before_its_move_makes_it_then(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str, holding: str
) -> None:
    world.candidate("linear")
    killed_at(world, method, monkeypatch, holding)
    assert world.champion() is None
    done = world.promote()
    assert (world.champion(), done.moved, [move.by for move in done.moves]) == (1, True, ["gate"])


def skewed(world: World) -> None:
    """An endpoint of the model serves what differs from what the offline path gives."""
    verdicts = filesystem(world.lakehouse.files("platform/skew/models.late"))
    put(verdicts, "endpoints.late.json", json.dumps({"requests": 9, "through": 9, "differing": {"wind": 2}}).encode())


def test_what_a_killed_gate_was_about_to_do_and_the_next_one_refuses_is_a_hands_when_it_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    world.candidate("linear")
    killed_at(world, "move_alias", monkeypatch)
    skewed(world)
    assert not world.promote().moved
    world.registry.move_alias("late", CHAMPION, 2)
    assert [(move.number, move.by) for move in world.promote().moves] == [(1, "gate"), (2, "hand")]


def test_skew_that_is_found_while_a_candidate_is_scored_refuses_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    world.candidate("linear")
    submit = world.runner.submit
    monkeypatch.setattr(world.runner, "submit", lambda job: (skewed(world), submit(job))[1])
    assert "served and offline features differ" in world.promote().decision.reasons[0]
    assert world.champion() == 1


def test_a_version_that_the_gate_would_pass_but_for_skew_is_refused_in_its_evidence_and_moved_to_by_hand(
    world: World,
) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    world.candidate("linear")
    skewed(world)
    refused = world.promote()
    told = world.evidence(2)["decision"]
    assert (told["promoted"], told["reasons"]) == (False, list(refused.decision.reasons))
    assert not world.promote().told_anew
    world.registry.move_alias("late", CHAMPION, 2)
    assert [(move.number, move.was, move.by) for move in world.promote().moves] == [(1, None, "gate"), (2, 1, "hand")]


def test_what_is_withheld_is_examined_and_not_moved(world: World) -> None:
    world.candidate("linear")
    withheld = replace(promotion(), withheld="Withheld: by hand.")
    for _ in range(2):
        with pytest.raises(GateRefusedError, match=r"is not promoted by this run.*Withheld: by hand. Kept: ") as raised:
            promote(withheld, world.lakehouse, world.runner, world.registry, world.services.say)
        assert "Materialize models/late__champion alone" in str(raised.value)
    assert (world.champion(), world.evidence(1)["decision"]["promoted"]) == (None, False)
    # when nothing holds it back any more, nothing is scored again
    done = world.promote()
    assert (done.moved, done.evaluated, world.champion()) == (True, False, 1)
    # and a champion that stands is not held back
    stands = promote(withheld, world.lakehouse, world.runner, world.registry, world.services.say)
    assert stands.decision.promoted
    assert not stands.told_anew


def test_a_standing_champion_is_scored_again_where_rules_ask_for_more(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    better = world.candidate("linear")
    world.promote()
    # when slices are asked for, it is held against what it was compared with then
    rules = GateRules("log_loss", {"roc_auc": 0.6}, slices=SliceRule(("carrier",), "log_loss", 0.7, 100))
    done = world.promote(rules)
    assert done.evaluated
    assert done.decision.promoted
    assert (done.opponent, done.champion.number, done.moved) == (1, better, False)
    assert set(world.runner.submitted[-1].arguments["models"]) == {"1", "2"}
    assert not world.promote(rules).evaluated


def test_a_champion_that_came_while_the_candidate_was_examined_is_compared_with_too(world: World) -> None:
    # given a candidate that beats the champion, and not the version that somebody promotes meanwhile
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    better = world.candidate("linear")
    world.candidate("linear", seed=2)
    before_each_move(world, lambda: promoted_by_command(f"late@{better}", "it knows more", world.registry))
    done = world.promote()
    # then it is not promoted for having beaten the one before
    assert (world.champion(), done.champion.number, done.opponent, done.moved) == (better, better, better, False)
    assert not done.decision.promoted
    assert world.evidence(3)["champion"]["number"] == better
    assert [set(job.arguments["models"]) for job in world.runner.submitted[1:]] == [{"1", "3"}, {"2", "3"}]
    assert [(move.number, move.by) for move in done.moves] == [(1, "gate"), (2, "command")]


def test_a_better_candidate_takes_over_from_the_champion_that_came_while_it_was_examined(world: World) -> None:
    world.candidate("linear", coin_for="AA")
    world.promote()
    worse, better = world.candidate("baseline"), world.candidate("linear")
    once = iter([worse])
    before_each_move(world, lambda: [world.registry.move_alias("late", CHAMPION, number) for number in once])
    done = world.promote()
    assert (world.champion(), done.opponent, done.moved) == (better, worse, True)
    assert [(move.number, move.was, move.by) for move in done.moves[1:]] == [(2, 1, "hand"), (3, 2, "gate")]


def test_a_candidate_is_refused_where_each_time_another_champion_has_come(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    world.candidate("baseline", seed=2)
    world.candidate("linear")
    before_each_move(world, lambda: world.registry.move_alias("late", CHAMPION, 3 - (world.champion() or 0)))
    done = world.promote()
    assert (done.champion.number, world.champion(), done.moved) == (2, 2, False)
    assert not done.decision.promoted
    assert (
        "turn 3 of 3, the champion was changed past this gate: it was held against version 1, and version 2 stands"
        in (done.decision.reasons[0])
    )
    told = world.evidence(3)["decision"]
    assert (told["promoted"], told["reasons"]) == (False, list(done.decision.reasons))
    assert [move.by for move in done.moves] == ["gate", "hand", "hand", "hand"]


def test_a_champion_that_vanishes_each_time_is_no_promotion(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    world.candidate("linear")

    def move() -> None:
        if world.champion():
            world.registry.remove_alias("late", CHAMPION)
        else:
            world.registry.move_alias("late", CHAMPION, 1)

    before_each_move(world, move)
    with pytest.raises(GateRefusedError, match="no champion stands: Broken: while version 2 was examined"):
        world.promote()
    assert world.champion() is None
