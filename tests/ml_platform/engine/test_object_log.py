from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest

from ml_platform.engine.object_log import ObjectLog
from ml_platform.errors import ServiceError
from ml_platform.testing.prediction_log import PredictionLogContract, served


class Shelf:
    """An object store in memory, with pages as small as asked for; it counts its calls."""

    def __init__(self, page: int = 3) -> None:
        self.objects: dict[str, bytes] = {}
        self.page = page
        self.listings = 0
        self.loses_answers = False

    def put_new(self, name: str, content: bytes) -> bool:
        stood = name in self.objects
        self.objects.setdefault(name, content)
        return not stood and not self.loses_answers

    def names(self, folder: str, after: str) -> Sequence[str]:
        self.listings += 1
        return sorted(name for name in self.objects if name.startswith(f"{folder}/") and name > after)[: self.page]

    def get(self, name: str) -> bytes:
        return self.objects[name]

    def delete(self, name: str) -> None:
        del self.objects[name]


class TestObjectLog(PredictionLogContract):
    @pytest.fixture
    def opened(self) -> Callable[[], ObjectLog]:
        shelf = Shelf()
        return lambda: ObjectLog(shelf)


def test_every_cursor_and_limit_gives_the_same_records() -> None:
    shelf = Shelf(page=2)
    for first, size in ((0, 1), (1, 4), (5, 2), (7, 1), (8, 3)):
        ObjectLog(shelf).append([served(number) for number in range(first, first + size)])
    for cursor in range(12):
        for limit in range(1, 13):
            found, after = ObjectLog(shelf).since("delay", cursor, limit)
            expected = list(range(cursor, min(11, cursor + limit)))
            assert [record.request_id for record in found] == [f"request-{number}" for number in expected]
            assert after == cursor + len(expected)


def test_two_servers_that_write_in_turns_lose_nothing() -> None:
    shelf = Shelf()
    one, other = ObjectLog(shelf), ObjectLog(shelf)
    for number in range(0, 20, 2):
        one.append([served(number)])
        other.append([served(number + 1)])
    assert [record.request_id for record in one.since("delay", 0, 100)[0]] == [f"request-{n}" for n in range(20)]


def test_a_put_whose_answer_was_lost_is_not_written_twice() -> None:
    shelf = Shelf()
    shelf.loses_answers = True
    ObjectLog(shelf).append([served(1)])
    assert len(ObjectLog(shelf).since("delay", 0, 10)[0]) == 1


def test_a_new_server_finds_the_end_in_few_listings() -> None:
    shelf = Shelf(page=1000)
    ObjectLog(shelf).append([served(number) for number in range(300)])
    for _ in range(200):
        ObjectLog(shelf).append([served(0)])
    shelf.listings = 0
    ObjectLog(shelf).append([served(7)])
    assert shelf.listings < 25
    assert ObjectLog(shelf).since("delay", 500, 10)[0][0].request_id == "request-7"


def test_a_group_larger_than_an_object_is_read_from_within() -> None:
    shelf = Shelf(page=1)
    ObjectLog(shelf).append([served(number) for number in range(2500)])
    assert len(shelf.objects) == 3
    assert [r.request_id for r in ObjectLog(shelf).since("delay", 1998, 4)[0]] == [
        f"request-{number}" for number in range(1998, 2002)
    ]


def test_last_object_stays_for_the_next_is_numbered_by_it() -> None:
    shelf = Shelf(page=2)
    for number in range(5):
        ObjectLog(shelf).append([served(number)])
    later = served(0).served_at + timedelta(days=1)
    assert ObjectLog(shelf).expire("delay", 5, later) == 4
    ObjectLog(shelf).append([served(5)])
    found, cursor = ObjectLog(shelf).since("delay", 0, 10)
    assert ([record.request_id for record in found], cursor) == (["request-4", "request-5"], 6)


class SlowShelf(Shelf):
    """A store of which a put lasts until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.free = Event(), Event()

    def put_new(self, name: str, content: bytes) -> bool:
        self.begun.set()
        assert self.free.wait(20)
        return super().put_new(name, content)


def test_whoever_comes_during_a_put_shares_the_next() -> None:
    # given one record whose put is going on, and ten that come meanwhile
    shelf = SlowShelf()
    log = ObjectLog(shelf)
    with ThreadPoolExecutor(11) as clients:
        first = clients.submit(log.append, [served(0)])
        assert shelf.begun.wait(20)
        others = [clients.submit(log.append, [served(number)]) for number in range(1, 11)]
        while len(log._waiting) < 10:
            time.sleep(0.01)
        shelf.free.set()
        for one in (first, *others):
            one.result(20)
    # then they stand, in one object
    assert [len(content.splitlines()) for content in shelf.objects.values()] == [1, 10]


def test_failure_is_told_to_everybody_whose_records_were_in_it() -> None:
    class Full(SlowShelf):
        def put_new(self, name: str, content: bytes) -> bool:
            super().put_new(name, content)
            raise ServiceError("the bucket is full, but records were to stand in it")

    log = ObjectLog(shelf := Full())
    with ThreadPoolExecutor(3) as clients:
        tried = [clients.submit(log.append, [served(number)]) for number in range(3)]
        shelf.free.set()
        for one in tried:
            with pytest.raises(ServiceError, match="bucket is full"):
                one.result(20)
