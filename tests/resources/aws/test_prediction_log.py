from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml_platform.records.endpoint import ServiceBinding
from ml_platform.testing.prediction_log import ServedLogContract, served
from resources.aws.prediction_log import AwsPredictionLog


class TestAwsPredictionLog(ServedLogContract):
    @pytest.fixture
    def opened(self, place: dict[str, str]) -> Callable[[], AwsPredictionLog]:
        return lambda: AwsPredictionLog(**place)

    @pytest.fixture
    def binding(self, place: dict[str, str]) -> ServiceBinding:
        return ServiceBinding("resources.aws.prediction_log", "AwsPredictionLog", place)


def test_records_of_servers_that_write_at_once_are_all_kept(place: dict[str, str]) -> None:
    def write(writer: int) -> None:
        log = AwsPredictionLog(**place)
        for number in range(5):
            log.append([served(writer * 10 + number)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    records, cursor = AwsPredictionLog(**place).since("delay", 0, 100)
    assert cursor == 20
    found = [int(record.request_id.removeprefix("request-")) for record in records]
    for writer in range(4):
        own = [number for number in found if number // 10 == writer]
        assert own == [writer * 10 + number for number in range(5)]


def test_environments_have_logs_of_their_own(place: dict[str, str]) -> None:
    AwsPredictionLog(**place).append([served(1)])
    assert AwsPredictionLog(**{**place, "prefix": "prod"}).since("delay", 0, 10) == ([], 0)
