"""Periods: windows that are cut from time, by the hour, day, week or month of a zone, and their order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["hour", "day", "week", "month"]

FORMATS: dict[str, str] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}
_NAMES: dict[Period, re.Pattern[str]] = {
    "hour": re.compile(r"\d{4}-\d\d-\d\dT\d\d"),
    "day": re.compile(r"\d{4}-\d\d-\d\d"),
    "week": re.compile(r"\d{4}-W\d\d"),
    "month": re.compile(r"\d{4}-\d\d"),
}
_MOST_BETWEEN = 1_000


def period_of(name: str) -> Period | None:
    """Which period a window's name is one of; None where it is none.

    >>> period_of("2013-11"), period_of("2013-W46"), period_of("north")
    ('month', 'week', None)
    """
    return next((period for period, form in _NAMES.items() if form.fullmatch(name)), None)


def start(name: str, timezone: str) -> datetime | None:
    """The first moment of a window, UTC; None for a name that is no period's, or where the calendar has no such moment.

    >>> start("2013-11", "America/New_York").isoformat()
    '2013-11-01T04:00:00+00:00'
    """
    period = period_of(name)
    if period is None:
        return None
    text, form = (f"{name}-1", "%G-W%V-%u") if period == "week" else (name, FORMATS[period])
    try:
        local = datetime.strptime(text, form)  # the zone comes next
        return local.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def end(name: str, timezone: str) -> datetime | None:
    """The first moment behind a window, UTC; None as `start` has it."""
    following = later(name, 1)
    return None if following is None else start(following, timezone)


def later(name: str, by: int) -> str | None:
    """The name of the window that many periods later, earlier where negative; None as `start` has it.

    >>> later("2013-11", 2), later("2013-W52", 1), later("2013-03-01", -1)
    ('2014-01', '2014-W01', '2013-02-28')
    """
    period, first = period_of(name), start(name, "UTC")
    if period is None or first is None:
        return None
    if period == "month":
        year, month = divmod(first.year * 12 + first.month - 1 + by, 12)
        return f"{year:04d}-{month + 1:02d}" if MINYEAR <= year <= MAXYEAR else None
    step = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[period]
    try:
        found = first + by * step
    except OverflowError:
        return None
    # Of a year with fewer digits, strftime writes fewer.
    return found.strftime(FORMATS[period]).zfill(len(name))


def ended(like: str, now: datetime, timezone: str) -> str | None:
    """The window of the same period that ended last; None for a name that is no period's.

    >>> ended("2013-11", datetime(2014, 1, 1, 4, 59, tzinfo=UTC), "America/New_York")
    '2013-11'
    """
    period = period_of(like)
    if period is None:
        return None
    name = later(now.astimezone(ZoneInfo(timezone)).strftime(FORMATS[period]), -1)
    while name is not None and not _is(name, timezone):
        name = later(name, -1)
    return name


def unbroken(names: Sequence[str], timezone: str = "UTC") -> list[str]:
    """The names with those of every window between, in order; as they are where they are not all of one period.

    An hour that a zone's clocks leave out is none.

    >>> unbroken(["2013-10", "2014-01"])
    ['2013-10', '2013-11', '2013-12', '2014-01']
    """
    periods = {period_of(name) for name in names}
    if len(periods) != 1 or None in periods:
        return list(names)
    found = [name for name in _from(names[0], names[-1]) if _is(name, timezone)]
    return found if found and found[-1] == names[-1] else list(names)


def _is(name: str, timezone: str) -> bool:
    """Whether the zone has such a window: the hour that clocks skip in spring has no moment."""
    first = start(name, timezone)
    period = period_of(name)
    return first is None or period is None or first.astimezone(ZoneInfo(timezone)).strftime(FORMATS[period]) == name


def _from(first: str, last: str) -> Iterator[str]:
    name: str | None = first
    for _ in range(_MOST_BETWEEN):
        if name is None or name > last:
            return
        yield name
        name = later(name, 1)
