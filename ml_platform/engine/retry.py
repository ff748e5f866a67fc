"""Trying again: work that somebody else's commit made void, done anew on what stands now."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from ml_platform.errors import ConflictError

_TRIES = 16
_FIRST_SECONDS, _LONGEST_SECONDS = 0.05, 1.0

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


def until_undisputed(work: Callable[[], T], told: Callable[[ConflictError], object] = lambda _: None) -> T:
    """What the work gives once nobody commits in between; the last ConflictError where that never happens.

    work: reads everything that it builds on anew each time. Of several writers one always succeeds; the others
    wait a random while, longer each time, of a second at most.
    told: is given each conflict that is tried again.
    """
    for attempt in range(_TRIES - 1):
        try:
            return work()
        except ConflictError as error:
            _LOG.warning("%s It is tried again, for the %d. time.", error, attempt + 1)
            told(error)
            # Writers that all try again at once keep meeting: one of four soon loses eight times in a row.
            longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**attempt)
            time.sleep(random.uniform(0, longest))  # noqa: S311 - it spreads them, it hides nothing
    return work()
