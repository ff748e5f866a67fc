from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

from ml_platform.cli import main
from ml_platform.testing.project import Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop's environment with a table that nothing declares any more."""
    assert shop.run('key:"bronze/stores"', "").success
    old = Path(shop.lakehouse.table("bronze/old").uri)
    Path(shop.lakehouse.table("bronze/stores").uri).rename(old)
    (tmp_path / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "shop_definitions", SimpleNamespace(defs=lambda: shop.definitions))
    monkeypatch.setattr("ml_platform.sweeping_console.service", shop.service)
    return old


def _sweep(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sweep", "-m", "shop_definitions", *arguments])


def test_a_sweep_lists_and_removes_what_is_named_alone(home: Path) -> None:
    listed = _sweep()
    assert listed.exit_code == 0, listed.output
    assert listed.stdout.splitlines()[0].split(maxsplit=2) == ["found", "bronze/old", "nothing declares the table"]
    assert "nothing was removed" in listed.stdout
    assert home.exists()
    removed = _sweep("--remove", "bronze/old")
    assert removed.stdout.splitlines()[0].split(maxsplit=2)[:2] == ["removed", "bronze/old"]
    assert not home.exists()
    assert _sweep().stdout == "nothing is idle, orphaned or undeclared\n"


def test_a_sweep_of_a_name_that_is_not_found_exits_with_1(home: Path) -> None:
    refused = _sweep("--remove", "bronze/stores")
    assert refused.exit_code == 1
    assert "the sweep does not find it" in refused.stderr
    assert home.exists()


@pytest.mark.parametrize("status", ["QUEUED", "STARTED"])
def test_while_a_run_waits_or_goes_on_no_job_is_taken_for_an_orphan(home: Path, status: str) -> None:
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("shop"), "shop").get_job_origin("everything")
    with dg.DagsterInstance.get() as instance:
        instance.add_run(dg.DagsterRun("everything", status=dg.DagsterRunStatus(status), remote_job_origin=origin))
    assert "a run goes on, so that no job is taken for an orphan" in _sweep().stdout
