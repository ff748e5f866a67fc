from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ml_platform.engine import idle
from ml_platform.engine.idle import last_request
from ml_platform.testing.prediction_log import served
from resources.embedded.prediction_log import EmbeddedPredictionLog

AT = served(0).served_at


def test_last_request_is_the_latest_of_a_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EmbeddedPredictionLog(str(tmp_path))
    assert last_request("delay", log) is None
    hours = [replace(served(n), served_at=AT + timedelta(hours=n)) for n in range(5)]
    log.append([hours[1], hours[0], replace(hours[3], shadow=True), replace(hours[4], named=True)])
    assert last_request("delay", log) == hours[1].served_at
    assert last_request("fraud", log) is None
    # and so it is where the log is read page by page
    monkeypatch.setattr(idle, "_AT_A_TIME", 1)
    assert last_request("delay", log) == hours[1].served_at
