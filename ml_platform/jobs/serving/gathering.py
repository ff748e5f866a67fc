"""Gathering: requests that come while others are being answered are answered together, as one batch.

Nobody waits for a batch to fill: what has come when there is room for an answer is the batch, so that a lone request
is answered at once and a busy server's batches grow with its load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ml_platform.jobs.serving.served import Response, Served

_AT_ONCE = 4  # batches of one revision that may wait for look-ups or a log
_MOST = 64  # requests in a batch
# A revision whose batches take longer in the mean is answered in threads, so that nobody else waits for it. The latest
# batch is a quarter of the mean, for one may be slow by accident, and every other one may be slow by its size.
_SLOW_SECONDS, _LATEST = 0.02, 0.25

_Responded = tuple[Sequence[Response | Exception], float]


@dataclass
class _Queue:
    """What has come for a revision and is not being answered yet. running: its batches that are."""

    asked: list[tuple[bytes, int | None]] = field(default_factory=list)
    waiting: list[asyncio.Future[Response]] = field(default_factory=list)
    running: int = 0


class Gathering:
    """The requests of one event loop, by the revision that is to answer them.

    tell: told the endpoint's name of each batch.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        # By identity, for a revision that takes another's place is another batch.
        self._queues: dict[int, _Queue] = {}
        self._took: dict[int, float] = {}

    async def respond(self, served: Served, raw: bytes, version: int | None) -> Response:
        """As `Served.respond`, in a batch with what else has come for the revision."""
        loop = asyncio.get_running_loop()
        queue = self._queues.get(id(served))
        if queue is None:
            queue = self._queues[id(served)] = _Queue()
        if not queue.asked:
            # Whoever else is ready in this turn of the loop comes before the batch begins.
            loop.call_soon(self._begin, served, queue)
        future: asyncio.Future[Response] = loop.create_future()
        queue.asked.append((raw, version))
        queue.waiting.append(future)
        return await future

    def _begin(self, served: Served, queue: _Queue) -> None:
        """What waits is being answered, as far as there is room."""
        while queue.asked and queue.running < _AT_ONCE:
            asked, waiting = queue.asked[:_MOST], queue.waiting[:_MOST]
            del queue.asked[:_MOST], queue.waiting[:_MOST]
            self._tell(served.spec.name)
            if not served.waits and self._took.get(id(served), 0.0) <= _SLOW_SECONDS:
                # A thread would cost more than the answers do.
                self._told(served, waiting, _respond(served, asked))
                continue
            queue.running += 1
            # In a thread, because look-ups and some logs wait for a disk or a network, and some models are slow.
            running = asyncio.get_running_loop().run_in_executor(None, _respond, served, asked)
            running.add_done_callback(partial(self._end, served, queue, waiting))
        if not queue.asked and not queue.running:
            self._queues.pop(id(served), None)

    def _end(
        self,
        served: Served,
        queue: _Queue,
        waiting: Sequence[asyncio.Future[Response]],
        done: asyncio.Future[_Responded],
    ) -> None:
        queue.running -= 1
        self._told(served, waiting, done.result())
        self._begin(served, queue)

    def _told(self, served: Served, waiting: Sequence[asyncio.Future[Response]], done: _Responded) -> None:
        found, seconds = done
        mean = self._took.get(id(served), seconds)
        self._took[id(served)] = mean + _LATEST * (seconds - mean)
        _tell(waiting, found)


def _respond(served: Served, asked: Sequence[tuple[bytes, int | None]]) -> _Responded:
    """What is said of each, and how many seconds that took."""
    started = time.perf_counter()
    found: Sequence[Response | Exception]
    try:
        found = served.respond_all(asked)
    except Exception as error:
        found = [error] * len(asked)
    return found, time.perf_counter() - started


def _tell(waiting: Sequence[asyncio.Future[Response]], found: Sequence[Response | Exception]) -> None:
    """Each that still waits has its answer."""
    for future, answer in zip(waiting, found, strict=True):
        if future.done():
            continue  # whoever asked has gone
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
