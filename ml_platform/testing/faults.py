"""The faults that a stand-in can be told to have, in one vocabulary for every cloud."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Literal, get_args

Fault = Literal[
    "throttled",
    "broken",
    "expired",
    "denied",
    "job_dies",
    "job_hangs",
    "unhealthy",
    "rolled_back",
    "update_failed",
    "store_throttled",
    "store_broken",
    "store_unanswered",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
PATH = "/__faults"


class Faults:
    """How often each fault is still to come.

    throttled, broken, expired, denied: the next calls are refused as the vendor refuses them (too many, a 500,
    credentials that have ended, a permission that is not there). job_dies, job_hangs: the next job is killed while it
    runs, or never starts its program. unhealthy: the next server never becomes healthy. rolled_back: the next update of
    an endpoint ends well, but with what served before. update_failed: the next update of a server that shares machines
    ends as failed, and what served before answers on. store_throttled, store_broken: the next requests to the object
    store are refused. store_unanswered: the store makes the next object that was not to be there yet, and answers with
    a 500.
    """

    def __init__(self) -> None:
        self._left: Counter[Fault] = Counter()
        self._lock = Lock()

    def set(self, fault: Fault, times: int) -> None:
        """The fault is to come so many times from now on."""
        with self._lock:
            self._left[fault] = times

    def take(self, fault: Fault) -> bool:
        """Whether the fault comes now; it then comes once less."""
        with self._lock:
            comes = self._left[fault] > 0
            self._left[fault] -= comes
        return comes
