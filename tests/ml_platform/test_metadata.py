from __future__ import annotations

import math
import shlex
from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform import metadata
from ml_platform.engine.alias_log import Move
from ml_platform.records.endpoint import Revision, TrafficSplit
from ml_platform.records.feature import PublishedView
from ml_platform.records.gate import GateDecision, Interval, Measured, SliceFinding, SliceFindings
from ml_platform.records.table import Commit, DataFile, Location, TableSnapshot, TableVersion

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def snapshot(tmp_path: Path) -> TableSnapshot:
    files = tuple(DataFile(f"{month}.parquet", 100, rows, {"month": month}) for month, rows in (("a", 2), ("b", 3)))
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("at", pa.timestamp("us", tz="UTC"))])
    return TableSnapshot(Location("gold/totals", str(tmp_path)), schema, ("month",), files, 7)


def test_table_says_rows_size_version_name_and_columns(snapshot: TableSnapshot, tmp_path: Path) -> None:
    said = metadata.of_table(snapshot, Commit(7, 1200, 3, ("a",), unchanged=False), 1.23456)
    assert said["outcome"] == "1,200 rows added, 3 removed"
    assert said["seconds"] == 1.235
    assert (said["dagster/row_count"], said["size_bytes"], said["table_version"]) == (5, 200, 7)
    assert (said["dagster/table_name"], said["dagster/uri"]) == ("gold.totals", str(tmp_path))
    columns = {column.name: column.type for column in said["dagster/column_schema"].columns}
    assert columns == {"id": "int64", "at": "timestamp[us, tz=UTC]"}


def test_table_that_no_commit_touched_is_unchanged(snapshot: TableSnapshot) -> None:
    assert metadata.of_table(snapshot, Commit(7, 0, 0, (), unchanged=True), 0.0)["outcome"] == "unchanged"


def test_versions_that_were_read_are_a_table(snapshot: TableSnapshot) -> None:
    (row,) = metadata.versions([TableVersion("silver/orders", 3, "ab12")]).records
    assert row.data == {"table": "silver/orders", "version": 3, "fingerprint": "ab12"}


def test_decision_gives_a_reason_a_line_and_both_sides_of_each_metric() -> None:
    said = metadata.of_decision(GateDecision(False, ("One.", "Two."), Measured({"brier": 0.2}, {"brier": 0.1})))
    assert said["reasons"].value == "- One.\n- Two."
    (row,) = said["metrics"].records
    assert row.data == {"metric": "brier", "candidate": 0.2, "champion": 0.1}


@pytest.mark.parametrize(
    ("before", "outcome"), [(None, "revision 2 serves"), (1, "revision 2 serves"), (2, "unchanged")]
)
def test_endpoint_gives_a_command_that_asks_it(before: int | None, outcome: str) -> None:
    def revision(number: int) -> Revision:
        return Revision("late", number, TrafficSplit({4: 1.0}), {4: "d"}, "http://127.0.0.1:1", ready=True)

    views = {"order_v1": PublishedView("abc", 3), "never_v1": None}
    said = metadata.of_revision(
        before and revision(before), revision(2), views, {"inputs": ["it's"]}, 0.5, open_to_all=True
    )
    assert said["outcome"] == outcome
    assert said["url"].value == "http://127.0.0.1:1/v2/models/late/infer"
    assert shlex.split(said["ask"]) == ["curl", "-s", said["url"].value, "-d", '{"inputs": ["it\'s"]}']
    assert [row.data for row in said["looks_up"].records] == [{"view": "order_v1", "version": "abc", "rows": 3}]


def test_endpoint_of_a_cloud_is_asked_through_its_host() -> None:
    revision = Revision("late", 2, TrafficSplit({4: 1.0}), {4: "d"}, "https://there/endpoints/late", ready=True)
    said = metadata.of_revision(None, revision, {}, {"inputs": []}, 0.5, open_to_all=False)
    assert shlex.split(said["ask"]) == ["ml-platform", "invoke", "late", '{"inputs": []}']
    assert said["url"].value == "https://there/endpoints/late"


def test_picture_is_inside_its_markdown() -> None:
    assert metadata.picture(PNG, "roc") == "![roc](data:image/png;base64,iVBORw0KGgo=)"


def test_a_refusal_without_numbers_can_be_shown() -> None:
    assert metadata.of_decision(GateDecision(False, ("Broken: no common ground.",)))["metrics"].records == []


def test_decision_shows_intervals_and_slices_and_what_is_not_known_as_nothing() -> None:
    slices = SliceFindings((SliceFinding("carrier", "UA", 300, 0.5, math.nan),), 1, 0, 0.95)
    measured = Measured({"r2": math.nan}, {}, Interval(0.1, 0.05, 0.2, 0.95), slices)
    said = metadata.of_decision(GateDecision(False, ("One.",), measured))
    (improvement,), (part,), (metric,) = (said[name].records for name in ("improvement", "slices", "metrics"))
    assert improvement.data == {"estimate": 0.1, "low": 0.05, "high": 0.2, "confidence": 0.95}
    assert part.data == {"column": "carrier", "value": "UA", "rows": 300, "estimate": 0.5, "bound": None}
    assert metric.data == {"metric": "r2", "candidate": None, "champion": None}


def test_moves_of_the_alias_stand_latest_first() -> None:
    known = (Move(1, 1, None, "gate", "2026-01-01T00:00:00+00:00"), Move(2, 3, 1, "hand", "2026-01-02T00:00:00+00:00"))
    assert [record.data["by"] for record in metadata.moves(known).records] == ["hand", "gate"]
    assert metadata.moves(()).records == []
