from __future__ import annotations

import json
import math
from dataclasses import asdict

from candidates import KEY, RULES, World, promotion

from ml_platform.engine.examination import EXAMINED_ON, Examined, examine, refused
from ml_platform.engine.gate import GateRules, SliceRule
from ml_platform.records.table import TableVersion

BY_CARRIER = SliceRule(("carrier",), "log_loss", 0.7, 30)


def examined(world: World, candidate: int, champion: int | None = None, rules: GateRules = RULES) -> Examined:
    other = world.version(champion) if champion else None
    return examine(promotion(rules), world.version(candidate), other, world.services)


def test_what_was_measured_is_kept_and_read_back_as_it_was(world: World) -> None:
    theirs, ours = world.candidate("baseline"), world.candidate("linear")
    rules = GateRules("log_loss", {"roc_auc": 0.6}, slices=BY_CARRIER)
    first, again = (examined(world, ours, theirs, rules) for _ in range(2))
    assert (first.evaluated, first.told_anew) == (True, True)
    assert (again.evaluated, again.told_anew) == (False, False)
    assert again.decision.reasons == first.decision.reasons
    for part in ("improvement", "slices"):
        assert getattr(again.decision.measured, part) == getattr(first.decision.measured, part) is not None
    # A baseline always says the same, so that it has no slope.
    assert math.isnan(again.decision.measured.champion.pop("calibration_slope"))
    assert math.isnan(first.decision.measured.champion.pop("calibration_slope"))
    assert again.decision == first.decision


def test_other_bounds_are_decided_on_the_numbers_that_stand(world: World) -> None:
    ours = world.candidate("linear")
    assert examined(world, ours).decision.promoted
    stricter = examined(world, ours, rules=GateRules("log_loss", {"roc_auc": 0.999}))
    assert (stricter.evaluated, stricter.told_anew, stricter.decision.promoted) == (False, True, False)
    assert world.evidence(ours)["decision"]["promoted"] is False


def test_what_speaks_against_a_candidate_besides_is_part_of_its_evidence_while_it_does(world: World) -> None:
    ours = world.candidate("linear")
    for objections, promoted in ((["Broken: it rains."], False), ([], True)):
        found = examine(
            promotion(), world.version(ours), None, world.services, lambda objections=objections: objections
        )
        told = world.evidence(ours)["decision"]
        assert found.decision.promoted is told["promoted"] is promoted
        assert list(found.decision.reasons) == told["reasons"]
        assert told["reasons"][: len(objections)] == objections
    assert not found.evaluated


def test_what_came_after_an_examination_is_in_its_evidence(world: World) -> None:
    ours = world.candidate("linear")
    passed = examined(world, ours)
    found = refused(passed, world.version(ours), "Broken: it snowed.", world.registry)
    told = world.evidence(ours)["decision"]
    assert (found.decision.promoted, told["promoted"], found.told_anew) == (False, False, True)
    assert told["reasons"] == list(found.decision.reasons) == ["Broken: it snowed.", *passed.decision.reasons]
    # The numbers stand, so that nothing is scored again.
    assert not examined(world, ours).evaluated


def test_why_nothing_could_be_measured_is_kept_too(world: World) -> None:
    theirs, ours = world.candidate("linear"), world.candidate("linear", task="regression")
    first, again = (examined(world, ours, theirs) for _ in range(2))
    assert first.decision == again.decision
    assert "they answer other questions" in first.decision.reasons[0]
    assert not again.evaluated


def test_a_champion_that_nobody_examined_is_held_to_the_floors(world: World) -> None:
    ours = world.candidate("linear")
    found = examined(world, ours, ours)
    assert (found.opponent, found.decision.promoted) == (None, True)


def test_a_version_from_elsewhere_is_examined_on_the_rows_that_it_was_given(world: World) -> None:
    ours = world.candidate("linear")
    pin = TableVersion(KEY, world.pin["version"], "own")
    world.registry.record("late", ours, {EXAMINED_ON: json.dumps(asdict(pin))})
    assert examined(world, ours).snapshot == pin


def test_evidence_fits_into_a_tag_however_many_slices_there_are(world: World) -> None:
    ours = world.candidate("linear")
    rules = GateRules("log_loss", {"roc_auc": 0.6}, slices=SliceRule(("id", "hour", "carrier"), "log_loss", 0.7, 30))
    examined(world, ours, rules=rules)
    assert len(world.version(ours).tags["gate"]) < 10_000
