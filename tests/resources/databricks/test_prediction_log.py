from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from ml_platform.records.endpoint import ServiceBinding
from ml_platform.roles.prediction_log import PredictionLog
from ml_platform.testing.prediction_log import ServedLogContract, served
from resources.databricks.prediction_log import DatabricksPredictionLog
from resources.databricks.volume import Volume
from resources.databricks.workspace import Workspace


@pytest.fixture
def opened(catalog: str, prefix: str) -> Callable[[], DatabricksPredictionLog]:
    return partial(DatabricksPredictionLog, catalog, prefix)


class TestDatabricksPredictionLog(ServedLogContract):
    @pytest.fixture
    def opened(self, opened: Callable[[], DatabricksPredictionLog]) -> Callable[[], PredictionLog]:
        return opened

    @pytest.fixture
    def binding(self, catalog: str, prefix: str) -> ServiceBinding:
        place = {"catalog": catalog, "prefix": prefix}
        return ServiceBinding("resources.databricks.prediction_log", "DatabricksPredictionLog", place)


def test_a_cursor_leads_over_the_directories(opened: Callable[[], DatabricksPredictionLog]) -> None:
    log = opened()
    log.append([served(number) for number in range(1500)])
    log.append([served(1500)])
    records, cursor = log.since("delay", 0, 5000)
    assert [record.request_id for record in records] == [f"request-{number}" for number in range(1501)]
    assert opened().since("delay", 999, 2)[0] == records[999:1001]
    assert opened().since("delay", 1500, 2)[0] == records[1500:]
    opened().append([served(1501)])
    assert list(opened().since("delay", cursor, 10)[0]) == [served(1501)]


def test_records_stand_in_directories_of_a_thousand(
    opened: Callable[[], DatabricksPredictionLog], catalog: str, prefix: str
) -> None:
    opened().append([served(number) for number in range(1001)])
    volume = Volume(Workspace(), f"/Volumes/{catalog}/ml_platform/ml_platform/{prefix}/predictions/delay")
    assert list(volume.entries("000000000000")) == ["000", "001"]
    assert list(volume.entries("000000000000/001")) == ["000.jsonl"]


def test_environments_have_logs_of_their_own(catalog: str, prefix: str) -> None:
    dev, prod = (DatabricksPredictionLog(catalog, f"{prefix}-{name}") for name in ("dev-1", "prod"))
    dev.append([served(1)])
    assert prod.since("delay", 0, 10) == ([], 0)
