"""Quarantine and replay through a project that runs: what goes, what the UI shows of it, and how it comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_platform.engine import delta
from ml_platform.records.table import StagedFiles
from ml_platform.testing.project import Project, Ran
from ml_platform.testing.shop import EVERYTHING, FILES, LANDING, MONTHS, declaration, land, orders, stores

KEPT = ("domain.yaml", "bronze/", "silver/orders/")
BOTH = 'key:"silver/checked" or key:"silver/checked__quarantine"'
# Of sixty orders a month their amounts are each the number times 37, of which the last two digits stay.
AMOUNTS = [number * 37 % 100 for number in range(60)]
DEAR = sum(amount > 95 for amount in AMOUNTS) * len(MONTHS)
EVERY = 60 * len(MONTHS)
TABLE = """
    description: Orders that are as they should be.
    partitioned: true
    key: [order_id]
    expect:
      - between: {column: amount, max: 95}
        name: amount_in_range
        severity: quarantine
      - references: {column: store, to: bronze/stores.store}
        severity: quarantine
"""


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """Orders, stores and a table of orders that are checked; its files have landed, nothing is made."""
    project = Project(tmp_path, {path: text for path, text in FILES.items() if path.startswith(KEPT)})
    project.write("silver/checked/defs.yaml", declaration("Table", TABLE))
    columns = "order_id, store, amount, event_time, month"
    project.write("silver/checked/checked.sql", f"SELECT {columns} FROM silver.orders")
    land(project.lakehouse)
    return project


def made(project: Project, select: str = "*") -> Ran:
    ran = project.run(select, EVERYTHING)
    assert ran.success, ran.failures
    return ran


def apart(project: Project) -> set[str]:
    return {json.loads(row["row"])["order_id"] for row in project.rows("silver/checked__quarantine")}


def kept(project: Project) -> list[str]:
    return sorted(row["order_id"] for row in project.rows("silver/checked"))


def test_a_quarantine_is_an_asset_beside_its_table(shop: Project) -> None:
    node = shop.node("silver/checked__quarantine")
    assert {key.to_user_string() for key in node.parent_keys} == {"silver/checked"}
    assert node.group_name == "silver"
    assert node.partitions_def == shop.node("silver/checked").partitions_def
    shop.change("silver/checked/defs.yaml", "severity: quarantine", "severity: warn")
    graph = shop.definitions.resolve_asset_graph()
    assert dg.AssetKey(["silver", "checked__quarantine"]) not in graph.get_all_asset_keys()


def test_bad_rows_are_shown_by_rule_and_the_run_goes_on(shop: Project) -> None:
    ran = made(shop)
    table, quarantine = ran.said["silver/checked"], ran.said["silver/checked__quarantine"]
    assert (table["rows_in"], table["rows_out"], table["rows_quarantined"]) == (240, 240 - DEAR, DEAR)
    assert table["quarantine_by_rule"] == {"amount_in_range": DEAR, "store_references": 0}
    assert quarantine["dagster/row_count"] == DEAR
    assert [record.data for record in quarantine["by_rule"].records] == [{"rule": "amount_in_range", "rows": DEAR}]
    sample = quarantine["sample"].records[0].data
    assert sample["reason"] == "amount_in_range: amount is greater than 95"
    counts = {month: said["dagster/partition_row_count"] for month, said in ran.partitions["silver/checked"].items()}
    assert counts == dict.fromkeys(MONTHS, 60 - DEAR // len(MONTHS))
    checks = {check.check_name: check for check in ran.checks["silver/checked"]}
    assert (checks["amount_in_range"].passed, checks["store_references"].passed) == (False, True)
    assert checks["amount_in_range"].severity == dg.AssetCheckSeverity.WARN
    assert checks["amount_in_range"].metadata["broken"].value == DEAR
    again = made(shop, BOTH)
    assert {said["outcome"] for said in again.said.values()} == {"unchanged"}


def test_a_mended_rule_brings_the_rows_back_exactly_once(shop: Project) -> None:
    made(shop)
    assert len(apart(shop)) == DEAR
    shop.change("silver/checked/defs.yaml", "max: 95", "max: 99")
    ran = made(shop, 'key:"silver/checked"')
    assert ran.said["silver/checked"]["rows_in"] == 240
    assert len(kept(shop)) == len(set(kept(shop))) == 240
    assert apart(shop) == set()
    assert made(shop, BOTH).said["silver/checked"]["outcome"] == "unchanged"


def test_mended_data_brings_the_row_back_exactly_once(shop: Project) -> None:
    made(shop)
    dear = AMOUNTS.index(99)
    name = f"2024-02-{dear:03d}"
    assert name in apart(shop)
    shop.land(
        LANDING, "orders/late.csv", orders("2024-02", 1, dear).replace(",99.0,", ",9.0,").replace(":00Z\n", ":01Z\n")
    )
    ran = made(shop)
    assert kept(shop).count(name) == 1
    assert name not in apart(shop)
    assert len(apart(shop)) == DEAR - 1
    assert ran.said["silver/checked"]["rows_in"] == 60
    assert made(shop, BOTH).said["silver/checked"]["outcome"] == "unchanged"


def test_a_late_parent_brings_its_rows_back_exactly_once(shop: Project) -> None:
    # given a store that sells before its own file has come
    early = stores().replace("west,4,2023-01-01T00:00:00Z,2023-01-01T00:00:00Z\n", "")
    assert early != stores()
    shop.land(LANDING, "stores/stores.csv", early)
    ran = made(shop)
    assert ran.said["silver/checked"]["quarantine_by_rule"]["store_references"] == 80
    # when it comes, then one run takes its rows
    header, *_, west = stores().strip().splitlines()
    shop.land(LANDING, "stores/west.csv", f"{header}\n{west}\n")
    made(shop, 'key:"bronze/stores"')
    ran = made(shop, 'key:"silver/checked"')
    assert ran.said["silver/checked"]["quarantine_by_rule"] == {"amount_in_range": DEAR, "store_references": 0}
    assert len(kept(shop)) == len(set(kept(shop))) == 240 - DEAR
    assert made(shop, BOTH).said["silver/checked"]["outcome"] == "unchanged"


def test_a_feature_view_sets_rows_apart_and_publishes_the_others(shop: Project) -> None:
    for name in ("defs.yaml", "order_v1.sql"):
        shop.write(f"features/order_v1/{name}", FILES[f"features/order_v1/{name}"])
    rule = "  expect:\n    - between: {column: amount, max: 95}\n      severity: quarantine\n"
    shop.write("features/order_v1/defs.yaml", FILES["features/order_v1/defs.yaml"] + rule)
    ran = made(shop)
    assert ran.said["features/order_v1__quarantine"]["dagster/row_count"] == DEAR
    # The last 504 hours before the end of April are online: the orders from the ninth of April on, three a day.
    assert ran.said["features/order_v1"]["online_rows"] == 36 - sum(amount > 95 for amount in AMOUNTS[24:])


@pytest.fixture
def appending(shop: Project) -> Project:
    """The shop, whose checked orders are appended as they come."""
    shop.change("silver/checked/defs.yaml", "key: [order_id]", "write: append")
    return shop


def test_an_append_takes_back_what_passes_by_now_exactly_once(appending: Project) -> None:
    made(appending)
    assert (len(apart(appending)), len(kept(appending))) == (DEAR, 60 * len(MONTHS) - DEAR)
    sources = {row["source_file"] for row in appending.rows("silver/checked__quarantine")}
    # when the rule is mended in part, and then wholly
    appending.change("silver/checked/defs.yaml", "max: 95", "max: 97")
    again = made(appending, BOTH)
    still = sum(amount > 97 for amount in AMOUNTS) * len(MONTHS)
    assert len(apart(appending)) == still < DEAR
    told = again.said["silver/checked"]
    assert (told["rows_in"], told["rows_out"], told["rows_quarantined"]) == (DEAR, DEAR - still, still)
    assert {row["source_file"] for row in appending.rows("silver/checked__quarantine")} <= sources
    appending.change("silver/checked/defs.yaml", "max: 97", "max: 100")
    made(appending, BOTH)
    made(appending, BOTH)
    # then every order stands once
    assert (apart(appending), len(kept(appending)), len({*kept(appending)})) == (set(), EVERY, EVERY)


def test_a_replay_that_is_killed_between_quarantine_and_table_loses_and_doubles_nothing(
    appending: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(appending)
    appending.change("silver/checked/defs.yaml", "max: 95", "max: 100")
    commit = delta.commit

    def mortal(staged: StagedFiles, **more: Any) -> Any:
        if staged.location.key == "silver/checked":
            raise RuntimeError("killed")
        return commit(staged, **more)

    with monkeypatch.context() as patched:
        patched.setattr(delta, "commit", mortal)
        assert not appending.run('key:"silver/checked"', MONTHS[0]).success
    # given rows that have left the quarantine, and did not reach the table: another month does not go past them
    refused = appending.run('key:"silver/checked"', MONTHS[1])
    assert f"was written for {MONTHS[0]} by a run that ended before" in refused.failures["silver/checked"]
    # when the month is made again
    made(appending, BOTH)
    assert (apart(appending), len(kept(appending)), len({*kept(appending)})) == (set(), EVERY, EVERY)
