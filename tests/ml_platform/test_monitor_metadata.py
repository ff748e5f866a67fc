from __future__ import annotations

import dagster as dg

from ml_platform import monitor_metadata
from ml_platform.engine.standing import standing
from ml_platform.records.monitor import Finding

FOUND = [
    Finding("2024-04", "drift", "amount", "psi", 0.4, "drifted", 60, 0.25),
    Finding("2024-04", "drift", "amount", "null_share", 0.0, "steady", 60, 0.1),
    Finding("2024-04", "drift", "rare", "psi", None, "not enough data", 0, 0.25),
    Finding("2024-04", "input", "amount", "null_flood", 0.7, "broken", 60, 0.5),
    Finding("2024-04", "input", "rare", "null_flood", 0.0, "steady", 60, 0.5),
    Finding("2024-04", "volume", "", "rows", 60.0, "steady", 60, 30.0),
]


def test_findings_are_a_picture_and_tables_and_counted() -> None:
    said = monitor_metadata.of_findings(FOUND, "/reports/report.html")
    assert said["failing"] == 2
    assert "- **drift** In 2024-04, amount psi 0.4, limit 0.25 is drifted." in said["standing"].value
    rows = {record.data["feature"]: record.data for record in said["windows"].records}
    assert (rows["amount"]["psi"], rows["amount"]["null_share"], rows["amount"]["state"]) == (0.4, 0.0, "drifted")
    assert rows["rare"]["state"] == "not enough data"
    assert [record.data["feature"] for record in said["broken_input"].records] == ["amount"]
    assert [record.data["family"] for record in said["quality_volume_freshness_skew"].records] == ["volume"]
    assert said["drift"].value.startswith("![drift](data:image/svg+xml;base64,")


def test_report_is_a_path_here_and_a_link_in_a_store() -> None:
    assert isinstance(monitor_metadata.of_findings(FOUND, "/a/report.html")["report"], dg.PathMetadataValue)
    assert isinstance(monitor_metadata.of_findings(FOUND, "s3://a/report.html")["report"], dg.UrlMetadataValue)


def test_check_of_broken_input_is_an_error_and_of_drift_a_warning() -> None:
    families = standing(FOUND)
    assert monitor_metadata.check("input", families["input"]).severity == dg.AssetCheckSeverity.ERROR
    assert monitor_metadata.check("drift", families["drift"]).severity == dg.AssetCheckSeverity.WARN
    assert monitor_metadata.check("quality", None).passed
