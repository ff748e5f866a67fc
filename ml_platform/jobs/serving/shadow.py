"""The shadow's work: it is done after the caller was answered, by a thread of its own, and bounded."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

_WAITING = 1000


class Shadow:
    """Takes work without letting its caller wait; what finds no room is dropped and counted.

    dropped: how often. Whoever lets go of it loses nothing that was taken: its thread ends once all of that is done,
    and the process's end waits for it.
    """

    def __init__(self, waiting: int = _WAITING) -> None:
        self._room = BoundedSemaphore(waiting)
        # Its thread starts with the first work, so that a server without a shadow has none.
        self._worker = ThreadPoolExecutor(1, "shadow")
        self.dropped = 0

    def take(self, work: Callable[[], None]) -> None:
        """The work will be done, or is dropped because too much waits."""
        if not self._room.acquire(blocking=False):
            self.dropped += 1
            return
        try:
            self._worker.submit(self._do, work)
        except RuntimeError:
            # It has finished: the endpoint was retired while its caller was being answered.
            self._room.release()
            self.dropped += 1

    def finish(self) -> None:
        """All that was taken is done; nothing is taken any more."""
        self._worker.shutdown()

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            # Nobody waits for it; the server's own log is where it is told.
            traceback.print_exc()
        finally:
            self._room.release()
