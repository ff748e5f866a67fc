from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ml_platform.binding import resolved, service
from ml_platform.cli import main
from ml_platform.testing import shop as shops
from ml_platform.testing.endpoint_host import endpoint_spec, publish_views, write_package
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from ml_platform.testing.project import Project
from ml_platform.testing.shop import LANDING

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from ml_platform.cli import main; main()"]


@pytest.fixture
def invoke(shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """The command line over the shop's definitions."""
    (tmp_path / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "shop_definitions", SimpleNamespace(defs=lambda: shop.definitions))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["run", "-m", "shop_definitions", *arguments])

    return run


def test_run_makes_the_selection_and_exits_with_0(invoke: object, shop: Project) -> None:
    result = invoke("--select", 'key:"bronze/stores"')
    assert result.exit_code == 0, result.output
    assert len(shop.rows("bronze/stores")) == 3


def test_invoke_asks_with_a_request_or_with_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    host = SimpleNamespace(invoke=lambda name, request: asked.append((name, request)) or {"outputs": [0.5]})
    monkeypatch.setattr("ml_platform.binding.service", lambda role: host)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert CliRunner().invoke(main, ["invoke", "late"]).stderr.startswith("error: endpoint late was never materialized")
    with dg.DagsterInstance.get() as instance:
        example = {"example_request": dg.MetadataValue.json({"inputs": [1]})}
        instance.report_runless_asset_event(dg.AssetMaterialization(["endpoints", "late"], metadata=example))
    assert '"outputs"' in CliRunner().invoke(main, ["invoke", "late"]).output
    CliRunner().invoke(main, ["invoke", "late", '{"inputs": [2]}'])
    assert asked == [("late", {"inputs": [1]}), ("late", {"inputs": [2]})]
    assert "the request is no JSON" in CliRunner().invoke(main, ["invoke", "late", "{"]).output


def test_asset_that_fails_exits_with_1(invoke: object, shop: Project) -> None:
    shop.land(LANDING, "stores/stores.csv", "store,size\n")
    result = invoke("--select", 'key:"bronze/stores"')
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert result.stderr.startswith("error: bronze/stores: stores/stores.csv has no column")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "group:nope"], "error: the selection is 'group:nope', but it matches no asset"),
        (["--partitions", "2030-01"], "error: the partition is '2030-01', but there is none of that name"),
    ],
)
def test_refused_arguments_are_one_error_and_exit_with_1(invoke: object, arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_wrong_declaration_is_one_error_and_exits_with_1(invoke: object, shop: Project) -> None:
    shop.change("gold/totals/totals.sql", "silver.orders", "silver.order")
    result = invoke()
    assert result.exit_code == 1
    assert f"error: {shop.name}/gold/totals/totals.sql:1: it reads 'silver/order'" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_missing_dagster_home_says_what_sets_it(invoke: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    result = invoke()
    assert result.exit_code == 2
    assert "DAGSTER_HOME is not set" in result.stderr


def test_terminal_of_a_process_shows_our_lines_and_nothing_of_dagsters(tmp_path: Path) -> None:
    # given a project of its own, in a process of its own
    project = shops.project(tmp_path)
    (tmp_path / "tiny.py").write_text(
        f"import {project.name}\nfrom ml_platform.definitions import build_definitions\n"
        "from ml_platform.testing.project import embedded_services\n\n\n"
        f"def defs():\n    return build_definitions({project.name}, embedded_services({str(tmp_path / 'home')!r}))\n"
    )
    (tmp_path / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "run", "-m", "tiny", *arguments],
            env={**os.environ, "DAGSTER_HOME": str(tmp_path), "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    # when what can be made is selected with what cannot
    ran = run("--select", 'group:bronze or key:"gold/totals"')
    # then the terminal shows a line an asset and the summary
    assert [line.split()[:2] for line in ran.stdout.splitlines()[:2]] == [
        ["1/3", "bronze/orders"],
        ["2/3", "bronze/stores"],
    ]
    assert len(ran.stdout.splitlines()) == 5
    # and the error stream one sentence
    assert ran.returncode == 1
    assert ran.stderr == (
        "error: gold/totals: the table silver/orders is not there, but something reads it. "
        "Materialize silver/orders first.\n"
    )


def test_stop_ends_every_endpoint_of_the_environment(tmp_path: Path) -> None:
    # given a running endpoint
    store, host = service("feature_store"), service("endpoint_host")
    publish_views(store)
    packages = {1: write_package(tmp_path / "package", rate=0.25)}
    spec = endpoint_spec(packages, resolved(store), resolved(service("prediction_log")))
    host.deploy(spec)
    try:
        # when it is stopped
        result = CliRunner().invoke(main, ["stop"])
        # then it does not serve any more
        assert (result.exit_code, result.output) == (0, f"endpoints/{spec.name} is stopped\n")
        assert host.describe(spec.name) is None
        assert CliRunner().invoke(main, ["stop"]).output == "no endpoint is running on this machine\n"
    finally:
        host.retire(spec.name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["late"], "Missing option '--why'"),
        (["late", "--why", "better"], "late is no model and version, which are written as arrival_delay@3"),
    ],
)
def test_promote_asks_for_a_version_and_a_reason(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["promote", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


def test_promote_of_a_version_that_is_not_there_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_platform.binding.service", lambda role: MemoryModelRegistry())
    result = CliRunner().invoke(main, ["promote", "late@3", "--why", "better"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: late@3 is asked for, but no version goes by it")
