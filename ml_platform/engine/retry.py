"""Trying again: work that somebody else's commit made void, done anew on what stands now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ml_platform.errors import ConflictError

_TRIES = 8

T = TypeVar("T")


def until_undisputed(work: Callable[[], T]) -> T:
    """What the work gives once nobody commits in between; the last ConflictError where that never happens.

    work: reads everything that it builds on anew each time. Of several writers one always succeeds.
    """
    for _ in range(_TRIES - 1):
        try:
            return work()
        except ConflictError:
            continue
    return work()
