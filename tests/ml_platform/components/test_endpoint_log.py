from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml_platform.components.endpoint_log import DeclaredLog
from ml_platform.engine import delta
from ml_platform.engine.logged import collect
from ml_platform.errors import DeclarationError
from ml_platform.records.table import Location
from ml_platform.testing.prediction_log import served
from ml_platform.testing.project import Project
from ml_platform.upkeep import UPKEEP
from resources.embedded.prediction_log import EmbeddedPredictionLog

REQUEST = "request: {order_id: string}"


def test_old_versions_of_the_table_stay_no_longer_than_its_rows(shop: Project) -> None:
    assert shop.node("endpoints/returns__log").metadata[UPKEEP]["retention_days"] == 30
    shop.change("endpoints/returns/defs.yaml", REQUEST, f"{REQUEST}\n  log: {{retention_days: 7, redact: [order_id]}}")
    assert shop.node("endpoints/returns__log").metadata[UPKEEP]["retention_days"] == 7


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("{redact: [ordr_id]}", "log is to redact 'ordr_id', but neither .*order_id"),
        ("{retention_days: 0}", "log.retention_days"),
    ],
)
def test_wrong_declaration_is_refused_by_file(shop: Project, declared: str, message: str) -> None:
    shop.change("endpoints/returns/defs.yaml", REQUEST, f"{REQUEST}\n  log: {declared}")
    with pytest.raises(DeclarationError, match=rf"endpoints/returns/defs.yaml.*{message}"):
        _ = shop.definitions


def test_rows_go_when_their_days_are_over_and_stay_for_good_without(tmp_path: Path) -> None:
    log, table = EmbeddedPredictionLog(str(tmp_path / "log")), Location("endpoints/delay__log", str(tmp_path / "table"))
    now = datetime.now(UTC)
    for days in (9, 8, 1):
        log.append([replace(served(days), served_at=now - timedelta(days=days))])
    collect("delay", table, log)
    DeclaredLog().keep("delay", table, log)
    assert delta.existing(table).rows == 3
    DeclaredLog(retention_days=7).keep("delay", table, log)
    assert delta.read_rows(delta.existing(table))["request_id"].to_pylist() == ["request-1"]
    assert [record.request_id for record in log.since("delay", 0, 10)[0]] == ["request-1"]
