from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import pytest

from ml_platform.engine import windows
from ml_platform.testing.windowed import at

KEYS = ['"origin"']
_INSTANT = timedelta(microseconds=1)


@pytest.fixture
def asked() -> Any:
    """Runs a query over three flights of one origin at hours 0, 1 and 4, of which the second is known at 3."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TABLE flights (origin VARCHAR, event_time TIMESTAMPTZ, known_at TIMESTAMPTZ, delay INT)"
        )
        rows = [("JFK", at(0), at(0), 5), ("JFK", at(1), at(3), 9), ("JFK", at(4), at(4), 5)]
        connection.executemany("INSERT INTO flights VALUES (?, ?, ?, ?)", rows)
        connection.execute(f'CREATE VIEW "__rows" AS {windows.USABLE.format(query="flights")}')
        yield lambda query: connection.sql(f'SELECT * EXCLUDE (origin) FROM ({query}) ORDER BY "__at"').fetchall()


def test_a_row_adds_when_it_comes_in_and_takes_away_when_it_goes_out(asked: Any) -> None:
    assert asked(windows.steps(KEYS, "", 3, {"n": "1", "delays": "delay"}, ["n", "delays", "other"])) == [
        (at(0), 1, 5, 0),
        (at(3), 1, 9, 0),
        (at(3) + _INSTANT, -1, -5, 0),
        (at(4), 1, 5, 0),
        (at(4) + _INSTANT, -1, -9, 0),
        (at(7) + _INSTANT, -1, -5, 0),
    ]


def test_a_row_that_is_known_too_late_adds_nothing(asked: Any) -> None:
    moments = [moment for moment, _ in asked(windows.steps(KEYS, "", 1, {"n": "1"}, ["n"]))]
    assert moments == [at(0), at(1) + _INSTANT, at(4), at(5) + _INSTANT]


def test_a_value_counts_once_for_as_long_as_a_row_of_it_is_in_the_window(asked: Any) -> None:
    # the value 5 stands from 0 to 8 when windows are four hours long, from 0 to 3 and from 4 to 7 when they are three
    for hours, five in ((4, [(at(0), 1), (at(8) + _INSTANT, -1)]), (3, [(at(0), 1), (at(3) + _INSTANT, -1)])):
        steps = asked(windows.distinct_steps(KEYS, "", hours, '"delay"', "n", ["n"]))
        nine = [(at(3), 1), (at(1 + hours) + _INSTANT, -1)]
        assert sorted(steps)[: len(steps)] == sorted(
            five + nine + ([(at(4), 1), (at(7) + _INSTANT, -1)] if hours == 3 else [])
        )


def test_sums_run_on_and_moments_that_meet_are_one(asked: Any) -> None:
    steps = windows.steps(KEYS, "", 3, {"n": "1"}, ["n"])
    parts = {"__steps": f"{steps} UNION ALL {steps}", **windows.changes(KEYS, "", ["n"])}
    before = ", ".join(f'"{name}" AS ({text})' for name, text in parts.items())
    assert [n for _, n in asked(f'WITH {before} SELECT * FROM "__running"')] == [2, 4, 2, 4, 2, 0]
