from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ml_platform.testing.prediction_log import PredictionLogContract
from resources.gcp.prediction_log import GcpPredictionLog


class TestGcpPredictionLog(PredictionLogContract):
    @pytest.fixture
    def opened(self, account: Any) -> Callable[[], GcpPredictionLog]:
        return lambda: GcpPredictionLog(**account.place)
