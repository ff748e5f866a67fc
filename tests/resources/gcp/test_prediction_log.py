from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ml_platform.records.endpoint import ServiceBinding
from ml_platform.testing.prediction_log import ServedLogContract
from resources.gcp.prediction_log import GcpPredictionLog


class TestGcpPredictionLog(ServedLogContract):
    @pytest.fixture
    def opened(self, account: Any) -> Callable[[], GcpPredictionLog]:
        return lambda: GcpPredictionLog(**account.place)

    @pytest.fixture
    def binding(self, account: Any) -> ServiceBinding:
        return ServiceBinding("resources.gcp.prediction_log", "GcpPredictionLog", account.place)
