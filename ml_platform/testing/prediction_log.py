"""The contract of a prediction log."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_platform.records.endpoint import ServiceBinding
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.prediction_log import PredictionLog
from ml_platform.testing.killed_server import NAME, acknowledged


def served(number: int, endpoint: str = "delay", **features: object) -> ServedPrediction:
    """The record of the answer of that number."""
    return ServedPrediction(
        request_id=f"request-{number}",
        endpoint=endpoint,
        revision=1,
        model_version=3,
        served_at=datetime(2014, 1, 1, 12, 0, 0, number, tzinfo=UTC),
        event_time=datetime(2013, 12, 30, 21, tzinfo=UTC),
        inputs={"flight_id": "UA1545"},
        features={"wind": 12.5, "carrier": "UA", "gust": None, **features},
        views={"weather_v1": "2013-12-30T20:51:00+00:00", "plan_v1": None},
        output=0.25,
        latency_ms=1.5,
    )


class PredictionLogContract:
    """What every prediction log keeps. Inherit it and supply `opened`."""

    @pytest.fixture
    def opened(self) -> Callable[[], PredictionLog]:
        """Opens the same log again, as another process would; nothing was logged before the test."""
        raise NotImplementedError

    def test_records_come_back_as_they_were_and_in_order(self, opened: Callable[[], PredictionLog]) -> None:
        log = opened()
        log.append([served(1), served(2)])
        log.append([served(3)])
        assert list(log.since("delay", 0, 10)[0]) == [served(1), served(2), served(3)]

    def test_failed_and_shadowed_answers_come_back_as_what_they_are(self, opened: Callable[[], PredictionLog]) -> None:
        log = opened()
        failed = replace(served(1), error="ServiceError: the store is gone", output=math.nan, features={})
        log.append([failed, replace(served(2), shadow=True), replace(served(3), named=True)])
        first, *rest = log.since("delay", 0, 10)[0]
        assert math.isnan(float(str(first.output)))
        assert (first.error, first.inputs) == (failed.error, failed.inputs)
        assert [(row.shadow, row.named, row.error) for row in rest] == [(True, False, ""), (False, True, "")]

    def test_cursor_goes_on_where_it_stopped(self, opened: Callable[[], PredictionLog]) -> None:
        log = opened()
        log.append([served(number) for number in range(5)])
        first, cursor = log.since("delay", 0, 3)
        rest, end = log.since("delay", cursor, 3)
        assert [record.request_id for record in (*first, *rest)] == [f"request-{number}" for number in range(5)]
        assert log.since("delay", end, 3) == ([], end)
        log.append([served(5)])
        assert list(log.since("delay", end, 3)[0]) == [served(5)]

    def test_nothing_logged_is_nothing_found(self, opened: Callable[[], PredictionLog]) -> None:
        assert opened().since("delay", 0, 10) == ([], 0)
        opened().append([])
        assert opened().since("delay", 0, 10) == ([], 0)

    def test_endpoints_have_logs_of_their_own(self, opened: Callable[[], PredictionLog]) -> None:
        opened().append([served(1), served(2, endpoint="fraud")])
        assert list(opened().since("fraud", 0, 10)[0]) == [served(2, endpoint="fraud")]
        assert list(opened().since("delay", 0, 10)[0]) == [served(1)]

    def test_acknowledged_records_are_found_by_whoever_opens_the_log(self, opened: Callable[[], PredictionLog]) -> None:
        writer = opened()
        writer.append([served(1)])
        assert list(opened().since("delay", 0, 10)[0]) == [served(1)]
        opened().append([served(2)])
        writer.append([served(3)])
        assert list(opened().since("delay", 0, 10)[0]) == [served(1), served(2), served(3)]

    def test_number_that_is_none_is_logged_as_missing(self, opened: Callable[[], PredictionLog]) -> None:
        opened().append([served(1, wind=math.nan, gust=math.inf)])
        features = opened().since("delay", 0, 1)[0][0].features
        assert (features["wind"], features["gust"]) == (None, None)

    def test_old_records_that_were_seen_expire_and_no_place_is_given_again(
        self, opened: Callable[[], PredictionLog]
    ) -> None:
        # given three days of records, all but the last of which were seen
        log, day = opened(), timedelta(days=1)
        for number in range(6):
            log.append([replace(served(number), served_at=served(0).served_at + number // 2 * day)])
        seen = log.since("delay", 0, 5)[1]
        # when what was served before the third day expires
        gone = opened().expire("delay", seen, served(0).served_at + 2 * day)
        # then nothing else is gone, a cursor from before passes over it, and the log goes on behind the last
        assert gone == 4
        assert opened().expire("delay", seen, served(0).served_at + 2 * day) == 0
        names = [record.request_id for record in opened().since("delay", 0, 10)[0]]
        assert names == ["request-4", "request-5"]
        opened().append([replace(served(6), served_at=served(0).served_at + 2 * day)])
        assert [record.request_id for record in opened().since("delay", seen, 10)[0]] == ["request-5", "request-6"]

    def test_what_was_not_seen_stays_however_old_it_is(self, opened: Callable[[], PredictionLog]) -> None:
        log = opened()
        log.append([served(1)])
        log.append([served(2)])
        assert log.expire("delay", 0, served(1).served_at + timedelta(days=1000)) == 0
        assert log.expire("nothing", 0, served(1).served_at) == 0
        assert len(opened().since("delay", 0, 10)[0]) == 2


class ServedLogContract(PredictionLogContract):
    """What the log of a server keeps: the contract of every service. Inherit it and supply `binding` as well."""

    @pytest.fixture
    def binding(self) -> ServiceBinding:
        """The same log, as a server makes it."""
        raise NotImplementedError

    def test_server_that_is_killed_has_logged_all_that_it_answered(
        self, opened: Callable[[], PredictionLog], binding: ServiceBinding, tmp_path: Path
    ) -> None:
        ids = acknowledged(binding, tmp_path / "server")
        logged = [record.request_id for record in opened().since(NAME, 0, 1_000_000)[0]]
        assert len(ids) >= 60
        assert set(ids) <= set(logged)
        assert len(logged) == len(set(logged))
