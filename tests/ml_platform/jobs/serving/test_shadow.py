from __future__ import annotations

from threading import Event

import pytest

from ml_platform.jobs.serving.shadow import Shadow


def test_caller_does_not_wait_and_what_was_taken_is_done() -> None:
    free, done = Event(), list[int]()
    shadow = Shadow()
    shadow.take(lambda: done.append(int(free.wait(20))))
    assert done == []
    free.set()
    shadow.finish()
    assert done == [1]


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    free, done = Event(), list[int]()
    shadow = Shadow(waiting=2)
    shadow.take(lambda: done.append(int(free.wait(20))))
    for number in (2, 3, 4):
        shadow.take(lambda number=number: done.append(number))  # type: ignore[misc]
    free.set()
    shadow.finish()
    assert (done, shadow.dropped) == ([1, 2], 2)


def test_work_that_fails_harms_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    done = list[int]()
    shadow = Shadow(waiting=1)
    shadow.take(lambda: done.append(1 // 0))
    shadow.finish()
    assert "ZeroDivisionError" in capsys.readouterr().err
