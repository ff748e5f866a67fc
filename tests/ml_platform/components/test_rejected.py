"""The quarantine of a source through a project that runs: what goes, what the UI shows of it, and how it comes back."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, FILES, LANDING, MONTHS, land, orders

BOTH = 'key:"bronze/orders" or key:"bronze/orders__quarantine"'


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """Orders whose misfits are quarantined; of February one has no amount that is a number."""
    kept = ("domain.yaml", "bronze/orders/")
    project = Project(tmp_path, {path: text for path, text in FILES.items() if path.startswith(kept)})
    project.change("bronze/orders/defs.yaml", "known_at: known_at", "known_at: known_at\n  misfits: quarantine")
    land(project.lakehouse)
    project.land(LANDING, "orders/2024-02.csv", orders("2024-02").replace(",37.0,", ",much,"))
    return project


def test_a_quarantine_is_an_asset_beside_its_source_where_rows_may_go_there(shop: Project) -> None:
    node = shop.node("bronze/orders__quarantine")
    assert {key.to_user_string() for key in node.parent_keys} == {"bronze/orders"}
    assert (node.group_name, node.partitions_def) == ("bronze", None)
    shop.change("bronze/orders/defs.yaml", "misfits: quarantine", "misfits: fail")
    keys = shop.definitions.resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(["bronze", "orders__quarantine"]) not in keys
    shop.change("bronze/orders/defs.yaml", "misfits: fail", "new_columns: quarantine")
    assert shop.node("bronze/orders__quarantine").group_name == "bronze"


def test_a_misfit_is_shown_and_every_row_is_accounted_for(shop: Project) -> None:
    ran = shop.run(BOTH, EVERYTHING)
    assert ran.success, ran.failures
    source, quarantine = ran.said["bronze/orders"], ran.said["bronze/orders__quarantine"]
    assert (source["rows_in"], source["rows_out"], source["rows_quarantined"], source["rows_passed"]) == (
        240,
        239,
        1,
        0,
    )
    assert (quarantine["outcome"], quarantine["dagster/row_count"]) == ("1 rows stand", 1)
    assert [record.data for record in quarantine["by_rule"].records] == [{"rule": "type", "rows": 1}]
    (sample,) = [record.data for record in quarantine["sample"].records]
    assert (sample["source_file"], sample["source_offset"]) == ("orders/2024-02.csv", 1)
    assert "amount: " in sample["reason"]
    assert json.loads(sample["row"])["amount"] == "much"
    again = shop.run(BOTH, EVERYTHING)
    assert {said["outcome"] for said in again.said.values()} == {"unchanged"}


def test_a_mended_declaration_takes_the_row_exactly_once(shop: Project) -> None:
    # given an order of May, which is no partition
    may = orders("2024-01", 1, 60).replace("2024-01-21", "2024-05-21")
    shop.land(LANDING, "orders/2024-05.csv", may)
    ran = shop.run(BOTH, EVERYTHING)
    assert ran.said["bronze/orders__quarantine"]["dagster/row_count"] == 2
    # when it is one
    shop.change("domain.yaml", '"2024-04"', '"2024-05"')
    for _ in range(2):
        ran = shop.run(BOTH, f"{MONTHS[0]}...2024-05")
        assert ran.success, ran.failures
        # then its row is there, and the other one still is not
        assert len(shop.rows("bronze/orders")) == 240
        assert [row["month"] for row in shop.rows("bronze/orders") if row["order_id"] == "2024-01-060"] == ["2024-05"]
        assert ran.said["bronze/orders__quarantine"]["dagster/row_count"] == 1
    assert ran.said["bronze/orders"]["outcome"] == "unchanged"


def test_what_changes_of_the_columns_is_shown(shop: Project) -> None:
    shop.change("bronze/orders/defs.yaml", "misfits: quarantine", "misfits: quarantine\n  new_columns: add")
    assert shop.run(BOTH, EVERYTHING).success
    header, row, _ = orders("2024-03", 1, 60).split("\n")
    shop.land(LANDING, "orders/2024-03-late.csv", f"{header},colour\n{row},blue\n")
    ran = shop.run(BOTH, EVERYTHING)
    assert ran.said["bronze/orders"]["column_changes"] == ["colour added as string"]
    assert "colour" in {column.name for column in ran.said["bronze/orders"]["dagster/column_schema"].columns}
