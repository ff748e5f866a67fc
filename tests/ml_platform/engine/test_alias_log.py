from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_platform.engine.alias_log import moved_by_gate, moves, promoted_by_command, reconciled, settled, taken_off, tell
from ml_platform.errors import NotFoundError
from ml_platform.testing.memory_model_registry import MemoryModelRegistry


@pytest.fixture
def registry(tmp_path: Path) -> MemoryModelRegistry:
    """Three versions of a model, none of them champion."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "model.json").write_text("{}")
    made = MemoryModelRegistry()
    for _ in range(3):
        made.register("late", tmp_path / "package", {})
    return made


def by_gate(registry: MemoryModelRegistry, number: int) -> None:
    registry.move_alias("late", "champion", number)
    tell("late", registry, number, "gate")


def told(registry: MemoryModelRegistry) -> list[tuple[int | None, int | None, str]]:
    return [(move.number, move.was, move.by) for move in moves(registry.versions("late"))]


def test_moves_stand_in_order_whichever_version_they_are_kept_with(registry: MemoryModelRegistry) -> None:
    for number in (2, 1, 2, 3):
        by_gate(registry, number)
    assert told(registry) == [(2, None, "gate"), (1, 2, "gate"), (2, 1, "gate"), (3, 2, "gate")]
    assert reconciled("late", registry) == moves(registry.versions("late"))


def test_a_model_that_never_had_a_champion_tells_of_nothing(registry: MemoryModelRegistry) -> None:
    assert reconciled("late", registry) == reconciled("never", registry) == ()


def test_a_move_past_the_gate_is_told_once_with_when_it_was_seen(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    registry.move_alias("late", "champion", 3)
    before = datetime.now(UTC).replace(microsecond=0)
    assert reconciled("late", registry) == reconciled("late", registry)
    assert told(registry) == [(1, None, "gate"), (3, 1, "hand")]
    (entry,) = json.loads(registry.versions("late")[2].tags["promotions"])
    assert before <= datetime.fromisoformat(entry["at"]) <= datetime.now(UTC)


def test_a_removed_alias_is_told_with_the_version_that_lost_it(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 2)
    registry.remove_alias("late", "champion")
    reconciled("late", registry)
    assert told(registry) == [(2, None, "gate"), (None, 2, "hand")]
    assert len(json.loads(registry.versions("late")[1].tags["promotions"])) == 2


def test_a_version_with_passed_evidence_that_no_gate_was_about_to_move_to_was_made_champion_by_hand(
    registry: MemoryModelRegistry,
) -> None:
    registry.record("late", 1, {"gate": json.dumps({"decision": {"promoted": True}})})
    registry.move_alias("late", "champion", 1)
    reconciled("late", registry)
    assert told(registry) == [(1, None, "hand")]


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def killed_before_its_move(registry: MemoryModelRegistry, number: int, was: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "move_alias", killed)
        with pytest.raises(KeyboardInterrupt):
            moved_by_gate("late", registry, number, was)


def test_the_gate_tells_what_it_is_about_to_do_and_does_it(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    registry.calls.clear()
    known = moved_by_gate("late", registry, 2, 1)
    assert [call for call in registry.calls if call in ("record", "move_alias")] == ["record", "move_alias", "record"]
    assert known == moves(registry.versions("late")) == settled("late", registry)
    assert told(registry) == [(1, None, "gate"), (2, 1, "gate")]


def test_the_gate_moves_nothing_where_another_champion_stands(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    assert moved_by_gate("late", registry, 2, None) is moved_by_gate("late", registry, 2, 3) is None
    assert told(registry) == [(1, None, "gate")]
    assert registry.version("late", "champion").number == 1


@pytest.mark.parametrize("to", [2, 3])
def test_the_gate_moves_nothing_where_a_hand_comes_before_it_at_the_last(
    registry: MemoryModelRegistry, to: int
) -> None:
    by_gate(registry, 1)
    record = registry.record

    def recorded(name: str, number: int, tags: dict[str, str]) -> None:
        record(name, number, tags)
        if tags.get("promotion_intended", "null") != "null":
            registry.move_alias(name, "champion", to)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "record", recorded)
        assert moved_by_gate("late", registry, 2, 1) is None
    reconciled("late", registry)
    assert told(registry) == [(1, None, "gate"), (to, 1, "hand")]


def test_a_move_that_a_gate_was_about_to_make_is_its_own_whoever_tells_of_it(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    killed_before_its_move(registry, 2, 1)
    reconciled("late", registry)
    registry.move_alias("late", "champion", 2)
    reconciled("late", registry)
    assert told(registry) == [(1, None, "gate"), (2, 1, "gate")]
    # and the next move to it is not
    registry.move_alias("late", "champion", 1)
    reconciled("late", registry)
    registry.move_alias("late", "champion", 2)
    reconciled("late", registry)
    assert told(registry)[2:] == [(1, 2, "hand"), (2, 1, "hand")]


def test_a_move_that_is_not_the_intended_one_is_a_hands_and_closes_the_intent(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    killed_before_its_move(registry, 2, 1)
    for number in (3, 2):
        registry.move_alias("late", "champion", number)
        reconciled("late", registry)
    assert told(registry) == [(1, None, "gate"), (3, 1, "hand"), (2, 3, "hand")]


def test_the_next_gate_leaves_no_intent_open(registry: MemoryModelRegistry) -> None:
    killed_before_its_move(registry, 2, None)
    assert settled("late", registry) == ()
    registry.move_alias("late", "champion", 2)
    assert [move.by for move in settled("late", registry)] == ["hand"]


def test_promotion_by_command_keeps_the_reason(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    version, move = promoted_by_command("late@2", "it knows the new carrier", registry)
    assert (version.number, told(registry)[-1]) == (2, (2, 1, "command"))
    assert "from version 1 to version 2 by ml-platform promote, for: it knows the new carrier, at 20" in move.told()
    assert registry.version("late", "champion").number == 2
    # Who is champion already is told of, and nothing is recorded.
    assert promoted_by_command("late@2", "again", registry)[1] == move
    assert reconciled("late", registry)[-1] == move


def test_promotion_by_command_tells_first_of_what_a_hand_has_done(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    registry.move_alias("late", "champion", 3)
    promoted_by_command("late@2", "better", registry)
    assert told(registry) == [(1, None, "gate"), (3, 1, "hand"), (2, 3, "command")]


def test_promotion_of_a_version_that_is_not_there_moves_nothing(registry: MemoryModelRegistry) -> None:
    with pytest.raises(NotFoundError, match="late@9 is asked for"):
        promoted_by_command("late@9", "better", registry)
    assert told(registry) == []


def test_only_what_somebody_took_off_does_not_come_back(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    by_gate(registry, 2)
    assert taken_off(moves(registry.versions("late")), 1) == ()
    promoted_by_command("late@1", "rolled back", registry)
    known = moves(registry.versions("late"))
    (why,) = taken_off(known, 2)
    assert why.startswith("Broken: version 2 was taken off by somebody, and does not come back by itself.")
    assert "rolled back" in why
    assert taken_off(known, 3) == ()


def test_what_somebody_took_off_stays_off_whatever_the_gate_did_since(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    by_gate(registry, 2)
    registry.move_alias("late", "champion", 1)
    reconciled("late", registry)
    by_gate(registry, 3)
    known = moves(registry.versions("late"))
    (why,) = taken_off(known, 2)
    assert "from version 2 to version 1 by hand" in why
    assert taken_off(known, 1) == taken_off(known, 3) == ()


def test_only_a_promotion_by_command_lets_back_what_was_taken_off(registry: MemoryModelRegistry) -> None:
    by_gate(registry, 1)
    for number in (2, 1, 2):
        registry.move_alias("late", "champion", number)
        reconciled("late", registry)
    by_gate(registry, 3)
    # a hand that put it back said nothing of why it may
    assert taken_off(moves(registry.versions("late")), 2)
    promoted_by_command("late@2", "it was never at fault", registry)
    by_gate(registry, 3)
    assert taken_off(moves(registry.versions("late")), 2) == ()
