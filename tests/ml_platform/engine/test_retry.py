from __future__ import annotations

import pytest

from ml_platform.engine.retry import until_undisputed
from ml_platform.errors import AuditError, ConflictError


def conflict() -> ConflictError:
    return ConflictError("a/b was committed to by somebody else, but this builds on what stood")


def test_disputed_work_is_done_again_until_it_stands() -> None:
    outcomes: list[Exception | int] = [conflict(), conflict(), 7]

    def work() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert until_undisputed(work) == 7
    assert outcomes == []


def test_endless_dispute_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_platform.engine.retry._LONGEST_SECONDS", 0)
    tries = []

    def work() -> None:
        tries.append(1)
        raise conflict()

    with pytest.raises(ConflictError):
        until_undisputed(work)
    assert len(tries) == 16


def test_another_error_is_not_tried_again() -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise AuditError("it is so, but it cannot be")

    with pytest.raises(AuditError):
        until_undisputed(work)
    assert len(tries) == 1
