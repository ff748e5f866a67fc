from __future__ import annotations

import doctest
from collections.abc import Sequence

from ml_platform.engine import telling
from ml_platform.engine.telling import Ended, Happening, Memory, tell
from ml_platform.records.notice import Delivery, Notice

NOTHING = Ended((), 5.0)


class Recorder:
    """A notifier that keeps what it was told, and does not deliver while it is down."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.down = False

    def tell(self, notice: Notice) -> Sequence[Delivery]:
        self.told.append(notice)
        return [Delivery("webhook", delivered=not self.down, fault="ConnectError" if self.down else "")]


def check(state: str) -> Happening:
    return Happening("check monitors/x drift", state, "warning", "drift of monitors/x", "In 2024-04, amount moved.")


def rounds(notifier: Recorder, *states: str, memory: Memory | None = None) -> Memory:
    memory = memory or Memory()
    for state in states:
        memory, _ = tell(notifier, [check(state)], NOTHING, Memory.read(memory.written()))
    return memory


def test_failure_is_told_once_for_as_long_as_it_is_the_same() -> None:
    notifier = Recorder()
    rounds(notifier, "failed [amount]", "failed [amount]", "failed [amount, store]")
    assert [notice.severity for notice in notifier.told] == ["warning", "warning"]
    assert notifier.told[0].id != notifier.told[1].id


def test_mending_is_told_and_the_next_failure_is_another_notice() -> None:
    notifier = Recorder()
    rounds(notifier, "failed", "", "", "failed")
    assert [notice.subject for notice in notifier.told] == [
        "drift of monitors/x",
        "Mended: drift of monitors/x",
        "drift of monitors/x",
    ]
    assert len({notice.id for notice in notifier.told}) == 3


def test_check_that_never_failed_is_not_told() -> None:
    notifier = Recorder()
    assert rounds(notifier, "", "").told == {}
    assert notifier.told == []


def test_what_did_not_arrive_is_tried_again_under_the_same_id_and_then_given_up() -> None:
    notifier = Recorder()
    notifier.down = True
    memory = rounds(notifier, "failed")
    assert len(memory.pending) == 1
    # an hour later it was tried at looks 0, 1, 2, 4, 8, 16, 32 and 60
    memory = rounds(notifier, *["failed"] * 60, memory=memory)
    assert len(notifier.told) == 8
    assert len(memory.pending) == 1
    # and after a day, which is 23 hours more, it is given up
    memory = rounds(notifier, *["failed"] * 1380, memory=memory)
    assert len(notifier.told) == 8 + 23
    assert len({notice.id for notice in notifier.told}) == 1
    assert memory.pending == ()


def test_what_arrives_at_last_is_not_pending() -> None:
    notifier = Recorder()
    notifier.down = True
    memory = rounds(notifier, "failed")
    notifier.down = False
    assert rounds(notifier, "failed", memory=memory).pending == ()
    assert len(notifier.told) == 2


def test_failed_runs_are_told_and_the_time_is_kept() -> None:
    notifier = Recorder()
    run = Happening("run 1", "failed", "error", "A run failed: models/x", "…")
    memory, _ = tell(notifier, [], Ended([run], 9.0), Memory())
    assert (memory.runs_until, [notice.subject for notice in notifier.told]) == (9.0, ["A run failed: models/x"])


def test_sentence_of_a_materialization_that_goes_away_mends_nothing() -> None:
    notifier = Recorder()
    said = Happening("asset a", "Learn it anew.", "info", "a says", "Learn it anew.", mends=False)
    memory, _ = tell(notifier, [said], NOTHING, Memory())
    tell(notifier, [Happening("asset a", "", "info", "a says", "", mends=False)], NOTHING, memory)
    assert len(notifier.told) == 1


def test_worked_example_of_the_docstring_holds() -> None:
    assert doctest.testmod(telling).failed == 0
