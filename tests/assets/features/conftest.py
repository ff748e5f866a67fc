"""A day of invented flights around a month's edge, and two ways to prove that a window looks back only."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

Row = dict[str, Any]
_START = datetime(2013, 1, 31, 10, tzinfo=UTC)
_MONTH_EDGE = datetime(2013, 2, 1, 5, tzinfo=UTC)
_NOW = timedelta()
_NOON = _START + timedelta(hours=12)


@pytest.fixture
def some_flights() -> list[Row]:
    """Two hundred flights in 24 hours; everything happens at multiples of ten minutes, so that moments collide."""
    chance = random.Random(7)  # noqa: S311
    return [_flight(number, chance) for number in range(200)]


def _flight(number: int, chance: random.Random) -> Row:
    due = _START + timedelta(minutes=10 * chance.randrange(144))
    flight: Row = {
        "flight_id": str(number),
        "origin": chance.choice(["EWR", "JFK"]),
        "dest": chance.choice(["IAH", "MIA"]),
        "carrier": chance.choice(["AA", "UA"]),
        "scheduled_departure": due,
        "plan_known_at": _START - timedelta(days=60),
        "month": "2013-01" if due < _MONTH_EDGE else "2013-02",
    }
    if chance.random() < 0.1:
        return flight | {"cancelled": True, "departure_known_at": due}
    left = due + timedelta(minutes=10 * chance.choice([-1, 0, 0, 1, 2, 5, 12, 80]))
    diverted = chance.random() < 0.05
    return flight | {
        "cancelled": False,
        "departure_known_at": left,
        "departure_delay_minutes": (left - due) // timedelta(minutes=1),
        "diverted": diverted,
        "arrival_known_at": left + timedelta(minutes=10 * chance.randrange(10, 30)),
        "arrival_delay_minutes": None if diverted else chance.randrange(-30, 90),
    }


@pytest.fixture
def assert_windows(lake: Any, some_flights: list[Row]) -> Callable[..., None]:
    """Checks every row of a windowed view against plain Python over the flights that were known by then.

    step: `departure` or `arrival`, whose delays are told of. expected: feature → what the window's delays give.
    leaving: whether there is a row for the moment at which a flight goes out, too.
    """

    def check(
        view: str,
        entity: tuple[str, ...],
        step: str,
        hours: float,
        expected: Mapping[str, Callable],
        leaving: bool = False,
    ) -> None:
        known_at, delay = f"{step}_known_at", f"{step}_delay_minutes"
        told = [flight for flight in some_flights if flight.get(delay) is not None]
        rows = lake.put("silver.flights", *some_flights).run(view)
        gone = timedelta(hours=hours, microseconds=1)
        moments = {
            (*(flight[name] for name in entity), flight[known_at] + later)
            for flight in told
            for later in (_NOW, gone)[: 1 + leaving]
        }
        assert {(*(row[name] for name in entity), row["event_time"]) for row in rows} == moments
        assert len(rows) == len(moments)
        for row in rows:
            since = row["known_at"] - timedelta(hours=hours)
            peers = [flight for flight in told if all(flight[name] == row[name] for name in entity)]
            delays = [flight[delay] for flight in peers if since <= flight[known_at] <= row["known_at"]]
            assert {name: row[name] for name in expected} == pytest.approx(
                {name: of(delays) if delays or of is len else None for name, of in expected.items()}
            )

    return check


@pytest.fixture
def assert_no_lookahead(lake: Any, some_flights: list[Row]) -> Callable[[str], None]:
    """Checks that what becomes known after a moment changes no row that was known by then."""

    def check(view: str) -> None:
        then = lake.put("silver.flights", *(_as_known(flight, _NOON) for flight in some_flights)).run(view)
        afterwards = type(lake)().put("silver.flights", *some_flights).run(view)
        told = [row for row in then if row["known_at"] <= _NOON]
        assert told == [row for row in afterwards if row["known_at"] <= _NOON]
        assert 0 < len(told) < len(afterwards)

    return check


def _as_known(flight: Row, moment: datetime) -> Row:
    hidden = {"departure": ("departure", "cancelled"), "arrival": ("arrival", "diverted")}
    later = [hidden[step] for step in hidden if flight.get(f"{step}_known_at", moment) > moment]
    gone = tuple(prefix for prefixes in later for prefix in prefixes)
    return {name: value for name, value in flight.items() if not (gone and name.startswith(gone))}
