from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ml_platform.cli import main
from ml_platform.engine.prices import Prices
from ml_platform.testing.project import Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def told(shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    (tmp_path / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "shop_definitions", SimpleNamespace(defs=lambda: shop.definitions))
    monkeypatch.setattr("ml_platform.planning_console.service", shop.service)
    return CliRunner().invoke(main, ["plan", "-m", "shop_definitions", "--select", "group:bronze or group:silver"])


def test_a_plan_is_a_line_an_asset_and_what_it_comes_to(told: Result) -> None:
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["create", "bronze/orders"],
        ["create", "bronze/stores"],
        ["create", "silver/orders"],
    ]
    assert lines[-1] == "3 create; nothing was written"


def test_a_plan_of_what_lacks_its_input_exits_with_1(told: Result) -> None:
    result = CliRunner().invoke(main, ["plan", "-m", "shop_definitions", "--select", 'key:"gold/totals"'])
    assert result.exit_code == 1
    assert result.stdout.startswith("lack    gold/totals")


def test_what_managed_jobs_would_cost_is_told_of_each_asset_and_in_all(
    told: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("planning_console", "planning"):
        monkeypatch.setattr(f"ml_platform.{module}.prices", lambda: Prices("USD", "", {"large": 2.0}))
    job = {"job_id": "job-1", "instance": "large", "billable_seconds": 1800.0, "cost": 1.0, "environment": "test"}
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        metadata = {"seconds": 7.0, "jobs": dg.MetadataValue.json([job])}
        made = dg.AssetMaterialization(["bronze", "orders"], metadata=metadata)
        instance.report_runless_asset_event(made)
    planned = CliRunner().invoke(main, ["plan", "-m", "shop_definitions", "--select", "group:bronze"])
    lines = planned.stdout.splitlines()
    assert lines[0].split()[:5] == ["create", "bronze/orders", "7.0", "s", "1.0000"]
    assert lines[1].split()[:3] == ["create", "bronze/stores", "1"]  # why, and no price
    assert lines[-1] == "2 create; about 7 s and 1.0000 USD, by earlier runs; nothing was written"
