from __future__ import annotations

import doctest
from datetime import UTC, datetime

import pytest

from ml_platform.engine import periods
from ml_platform.engine.periods import end, ended, later, start, unbroken

NEW_YORK = "America/New_York"


def test_worked_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(periods).failed == 0


def test_day_on_which_clocks_go_back_has_twenty_five_hours() -> None:
    first, behind = start("2013-11-03", NEW_YORK), end("2013-11-03", NEW_YORK)
    assert first == datetime(2013, 11, 3, 4, tzinfo=UTC)
    assert behind == datetime(2013, 11, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "by", "expected"),
    [
        ("2013-12", 1, "2014-01"),
        ("2013-11", -12, "2012-11"),
        ("2020-W53", 1, "2021-W01"),
        ("2024-02-28", 1, "2024-02-29"),
        ("2013-12-31T23", 1, "2014-01-01T00"),
        ("north", 1, None),
        ("2013-13", 1, None),
        ("9999-12", 1, None),
        ("9999-12-31T23", 1, None),
        ("9999-12-31", 1, None),
        ("0001-01", -1, None),
        ("0001-01-01", -1, None),
        ("0999-12-31", -1, "0999-12-30"),
    ],
)
def test_windows_follow_each_other(name: str, by: int, expected: str | None) -> None:
    assert later(name, by) == expected


def test_a_window_that_the_calendar_does_not_end_has_no_end() -> None:
    assert end("9999-12-31", "America/New_York") is None
    assert start("9999-12-31T23", "America/New_York") is None
    assert start("0001-01", "Asia/Tokyo") is None
    assert unbroken(["9999-11", "9999-12"], "America/New_York") == ["9999-11", "9999-12"]


def test_hour_that_clocks_skip_is_no_window() -> None:
    assert unbroken(["2013-03-10T01", "2013-03-10T03"], NEW_YORK) == ["2013-03-10T01", "2013-03-10T03"]
    assert unbroken(["2013-03-10T01", "2013-03-10T03"])[1] == "2013-03-10T02"
    # half past three in New York, where two o'clock was not
    assert ended("2013-03-09T00", datetime(2013, 3, 10, 7, 30, tzinfo=UTC), NEW_YORK) == "2013-03-10T01"
    assert ended("north", datetime(2013, 3, 10, tzinfo=UTC), NEW_YORK) is None


def test_hole_between_windows_is_filled_with_their_names() -> None:
    assert unbroken(["2013-12-30", "2014-01-02"]) == ["2013-12-30", "2013-12-31", "2014-01-01", "2014-01-02"]
    assert unbroken(["2020-W52", "2021-W01"]) == ["2020-W52", "2020-W53", "2021-W01"]


def test_windows_that_are_no_periods_stay_as_they_are() -> None:
    assert unbroken(["east", "west"]) == ["east", "west"]
    assert unbroken([]) == []
