from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from ml_platform.engine.database import Database
from ml_platform.engine.watermark import Table, newest, reached, require_onward, written
from ml_platform.errors import SourceError

KEYS, TIMES = Table("SHOP", "orders", "id", "key"), Table("SHOP", "orders", "at", "time")


class Answers:
    """A database that answers with these rows, one after the other."""

    def __init__(self, *rows: tuple[Any, ...], text_times: bool = False) -> None:
        self._rows, self.text_times = list(rows), text_times

    def row(self, _: str) -> tuple[Any, ...]:
        return self._rows.pop(0)


def answers(*rows: tuple[Any, ...], text_times: bool = False) -> Database:
    return cast(Database, Answers(*rows, text_times=text_times))


def test_how_far_a_table_has_come_is_the_greatest_of_its_ends() -> None:
    assert reached(KEYS, [], answers()) is None
    assert reached(KEYS, ["9", "10"], answers()) == 10
    assert reached(TIMES, ["2024-01-02 00:00:00", "2024-01-01 00:00:00"], answers(text_times=True)) == (
        "2024-01-02 00:00:00"
    )
    assert reached(TIMES, ["2024-01-02T00:00:00+00:00"], answers()) == datetime(2024, 1, 2, tzinfo=UTC)
    with pytest.raises(SourceError, match="say no key to go on from"):
        reached(KEYS, ["2024-01-02"], answers())


def test_a_time_is_written_as_it_is_read() -> None:
    assert written(7) == "7"
    assert written(datetime(2024, 1, 1, tzinfo=UTC)) == "2024-01-01T00:00:00+00:00"


def test_a_table_goes_on_or_says_that_it_did_not() -> None:
    for low, high in ((None, 1), (1, 1), (1, 2), (1, None)):
        require_onward(low, high, KEYS)
    with pytest.raises(SourceError, match="orders has landed up to id 2, but its newest is 1: was it made anew"):
        require_onward(2, 1, KEYS)


def test_a_time_that_has_not_come_is_refused_by_its_name() -> None:
    ahead = datetime.now(UTC) + timedelta(hours=23)
    assert newest(TIMES, answers((None, ahead, 0))) == ahead
    naive = ahead.replace(tzinfo=None)
    assert newest(TIMES, answers((None, naive, 0))) == naive
    with pytest.raises(SourceError, match="orders has 9999-12-31 00:00:00 as its newest at, but that has not come yet"):
        newest(TIMES, answers((None, "9999-12-31 00:00:00", 0), (0,), text_times=True))
    with pytest.raises(SourceError, match=r"orders has 9999-12-31T00:00:00\+00:00 as its newest at"):
        newest(TIMES, answers((None, datetime(9999, 12, 31, tzinfo=UTC), 0)))


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("2024-01-02T12:00:00", "2024-01-02 16:00:00"),
        ("2024-01-02 12:00:00", "2024-01-02T16:00:00"),
        ("2024-01-02T12:00:00Z", "2024-01-02T12:00:01.500Z"),
        ("2024-01-02T12:00:00", "2024-01-03T12:00:00Z"),
        (datetime(2024, 1, 1), datetime(2024, 1, 2, tzinfo=UTC)),
    ],
)
def test_times_in_another_form_than_those_that_landed_are_refused(low: Any, high: Any) -> None:
    with pytest.raises(SourceError, match=r"orders has landed up to at 2024.*which is written in another form"):
        require_onward(low, high, TIMES)
    ends, database = [written(low), written(high)], answers(text_times=isinstance(low, str))
    with pytest.raises(SourceError, match="written in several forms"):
        reached(TIMES, ends, database)
