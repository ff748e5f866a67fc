from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine.declared import Declared
from ml_platform.engine.predictions import Answer, find
from ml_platform.errors import DeclarationError, NotFoundError
from ml_platform.records.prediction import ServedPrediction
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

DECLARED = Declared(
    (),
    models={"predictions/late": "models/late", "endpoints/late": "models/late"},
    entities={"predictions/late": ("flight", "origin")},
)


class Log:
    def __init__(self, records: Sequence[ServedPrediction]) -> None:
        self.records = records

    def append(self, records: Sequence[ServedPrediction]) -> None:
        raise AssertionError

    def since(self, endpoint: str, cursor: int, limit: int) -> tuple[Sequence[ServedPrediction], int]:
        return self.records[cursor : cursor + limit], len(self.records)


@pytest.fixture
def ask(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Callable[..., Answer]:
    return lambda name, *records: find(name, DECLARED, Log(records), lakehouse, compute)


def moment(day: int) -> datetime:
    return datetime(2013, 1, day, tzinfo=UTC)


def served(name: str, **more: Any) -> ServedPrediction:
    said = {"request_id": name, "endpoint": "late", "revision": 2, "model_version": 3, "served_at": moment(2)}
    asked = {"event_time": moment(1), "inputs": {"flight": 1}, "features": {}, "views": {}, "output": 0.5}
    return ServedPrediction(**{**said, **asked, "latency_ms": 1.0, **more})


@pytest.fixture
def scored(put: Any) -> None:
    """One flight of two days, of which the second was scored twice."""
    days, numbers, answers = [1, 2, 2], [1, 1, 2], [0.1, 0.2, 0.3]
    rows = {"flight": [7] * 3, "origin": ["JFK"] * 3, "event_time": [moment(day) for day in days]}
    more = {"prediction": answers, "model_version": numbers, "processed_at": [moment(9 + number) for number in numbers]}
    put("predictions/late", pa.table({**rows, **more}))


def test_an_event_is_told_from_others_of_its_entity_by_its_moment(ask: Any, scored: None) -> None:
    found = ask("predictions/late:7,JFK@2013-01-02T00:00:00Z")
    # the latest answer counts
    assert (found.model_version, found.output, found.inputs) == (2, 0.3, {"flight": 7, "origin": "JFK"})
    with pytest.raises(NotFoundError, match=r"2 events go by it\. They are at 2013-01-01T00:00:00\+00:00, 2013-01-02"):
        ask("predictions/late:7,JFK")


def test_an_event_goes_by_every_column_of_its_entity(ask: Any, scored: None) -> None:
    with pytest.raises(DeclarationError, match="goes by flight, origin"):
        ask("predictions/late:7")


def test_rows_of_one_request_are_named_one_by_one(ask: Any) -> None:
    records = [served("abc-0"), served("abc-1", output=0.7)]
    assert ask("abc-1", *records).output == 0.7
    with pytest.raises(NotFoundError, match=r"that request asked for 2 rows\. They are abc-0, abc-1"):
        ask("abc", *records)


def test_the_answer_that_was_given_is_not_that_of_the_shadow(ask: Any) -> None:
    found = ask("abc", served("abc-0", shadow=True, model_version=4), served("abc-0"))
    assert (found.model_version, found.place) == (3, "the prediction log of late, not collected yet")


def test_a_request_that_failed_says_why(ask: Any) -> None:
    found = ask("abc", served("abc-0", error="no such origin", features=None, views=None))
    assert (found.output, found.features) == ("no answer, no such origin", {})
