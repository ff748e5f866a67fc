from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from ml_platform.cli import main
from ml_platform.engine.prices import Prices

ROOT = Path(__file__).parents[2]
JOB = {"job_id": "job-1", "instance": "large", "billable_seconds": 1800.0, "cost": 0.06, "environment": "prod"}


def test_costs_are_a_line_an_asset_and_what_they_come_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("table"), dg.AssetSpec("model")])
    def made():  # type: ignore[no-untyped-def]
        table = {"seconds": 1.5, "size_bytes": 3 * 2**20, "dagster/uri": "/x/test/lakehouse/tables/table"}
        ran = {"seconds": 9.0, "environment": "prod", "model": "late"}
        yield dg.MaterializeResult(asset_key="table", metadata=table)
        yield dg.MaterializeResult(asset_key="model", metadata={**ran, "jobs": dg.MetadataValue.json([JOB])})

    (tmp_path / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    priced = Prices("USD", "2026-11-01", {"large": 0.12}, per_gib_month=1.024)
    monkeypatch.setattr("ml_platform.costs_console.table", lambda: priced)
    with dg.DagsterInstance.get() as instance:
        assert dg.materialize([made], instance=instance).success
    told = CliRunner().invoke(main, ["cost"])
    assert told.exit_code == 0, told.output
    lines = [line.split() for line in told.stdout.splitlines()]
    assert lines[1:3] == [["model", "prod", "9.0", "1800", "0.0600"], ["table", "test", "1.5", "3.00"]]
    assert told.stdout.splitlines()[4:] == [
        "stored: 3.00 MiB, 0.0030 USD a month",
        "managed jobs: 1, 0.0600 USD",
        "by prices of 2026-11-01 in the profile local: check yours",
    ]

    by_model = [line.split() for line in CliRunner().invoke(main, ["cost", "--by", "model"]).stdout.splitlines()]
    assert by_model[1:3] == [["-", "test", "1.5", "3.00"], ["late", "prod", "9.0", "1800", "0.0600"]]
    by_environment = [
        line.split() for line in CliRunner().invoke(main, ["cost", "--by", "environment"]).stdout.splitlines()
    ]
    assert by_environment[1:3] == [["prod", "9.0", "1800", "0.0600"], ["test", "1.5", "3.00"]]
