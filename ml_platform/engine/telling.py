"""Telling: which of the things that stand or happened people are told, once each, and again where it did not arrive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

from ml_platform.records.notice import Delivery, Notice, Severity
from ml_platform.roles.notifier import Notifier

_MOST_PENDING = 50
# A sensor looks once a minute: an hour between tries at the most, and a day in all.
_LOOKS_BETWEEN, _LOOKS = 60, 24 * 60


@dataclass(frozen=True)
class Happening:
    """How something stands. of: what, for instance an asset's check. state: empty where all is well, else what it is.

    The same state is told once; when it is well again, that is told too, where `mends` says so.
    """

    of: str
    state: str
    severity: Severity
    subject: str
    text: str
    mends: bool = True


@dataclass(frozen=True)
class Memory:
    """What was told, kept between looks. told: what → a digest of the state that was told.

    runs_until: seconds since 1970 up to which failed runs were looked at; None before the first look.
    pending: notices that did not arrive everywhere, and how many looks ago each was told first.
    """

    told: dict[str, str] = field(default_factory=dict)
    runs_until: float | None = None
    pending: tuple[tuple[Notice, int], ...] = ()
    rounds: int = 0

    @staticmethod
    def read(text: str | None) -> Memory:
        """The memory that a text holds; an empty one for none."""
        if not text:
            return Memory()
        kept = json.loads(text)
        pending = tuple((Notice(**notice), looks) for notice, looks in kept["pending"])
        return Memory(kept["told"], kept["runs_until"], pending, kept["rounds"])

    def written(self) -> str:
        """The same as a text."""
        return json.dumps({**asdict(self), "pending": [[asdict(one), looks] for one, looks in self.pending]})


@dataclass(frozen=True)
class Ended:
    """The runs that failed since the last look. until: seconds since 1970 up to which was looked."""

    runs: Sequence[Happening]
    until: float


def tell(
    notifier: Notifier, stands: Iterable[Happening], ended: Ended, memory: Memory
) -> tuple[Memory, list[Delivery]]:
    """The memory afterwards, and every delivery that was tried.

    A notice that did not arrive is tried again after 1, 2, 4 and so on looks, then every 60, and given up after 1,440:
    the record of it is with the notifier. Nothing is raised for what does not arrive.
    """
    told, notices = dict(memory.told), []
    for one in stands:
        mark = _digest(one.state) if one.state else ""
        before = told.get(one.of, "")
        if mark == before:
            continue
        told[one.of] = mark
        if mark:
            notices.append(_notice(one, memory.rounds, f"{one.of} {mark}"))
        elif one.mends:
            mended = replace(one, severity="info", subject=f"Mended: {one.subject}")
            notices.append(_notice(mended, memory.rounds, f"{one.of} mended"))
    notices += [_notice(one, 0, one.of) for one in ended.runs]
    deliveries: list[Delivery] = []
    waiting: list[tuple[Notice, int]] = []
    for notice, looks in [*((one, ago + 1) for one, ago in memory.pending), *((one, 0) for one in notices)]:
        done = notifier.tell(notice) if _due(looks) else None
        deliveries += done or ()
        if (done is None or not all(one.delivered for one in done)) and looks < _LOOKS:
            waiting.append((notice, looks))
    kept = {of: mark for of, mark in told.items() if mark}
    return Memory(kept, ended.until, tuple(waiting[-_MOST_PENDING:]), memory.rounds + bool(notices)), deliveries


def _due(looks: int) -> bool:
    """Whether it is tried at that look; trying more often would only keep others waiting for what does not answer.

    >>> [looks for looks in range(130) if _due(looks)]
    [0, 1, 2, 4, 8, 16, 32, 60, 120]
    """
    return looks % _LOOKS_BETWEEN == 0 or (looks < _LOOKS_BETWEEN and looks & (looks - 1) == 0)


def _notice(one: Happening, round_: int, of: str) -> Notice:
    # What failed, was mended and fails again is another notice: the round tells them apart.
    return Notice(_digest(f"{round_} {of}"), one.severity, one.subject, one.text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
