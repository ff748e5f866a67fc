from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.binding import bindings
from ml_platform.components import FeatureView
from ml_platform.definitions import build_definitions, declaration, declared
from ml_platform.errors import DeclarationError, NotFoundError
from ml_platform.testing import shop as shops
from ml_platform.testing.project import Project
from ml_platform.testing.shop import Made

ROOT = Path(__file__).parents[2]
HEAVY = ["pandas", "polars", "duckdb", "mlflow", "sklearn", "lightgbm", "matplotlib", "pyarrow", "deltalake"]
HEAVY += ["optuna", "fastapi", "uvicorn", "httpx", "boto3", "numpy"]


def imported_by_loading(names: list[str], home: Path) -> list[str]:
    """Which of the modules a process that loads the code location imports."""
    program = (
        "import sys, json; from ml_platform.definitions import defs; defs().resolve_all_asset_specs(); "
        f"print(json.dumps([name for name in {names!r} if name in sys.modules]))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "ML_PLATFORM_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: list[str] = json.loads(finished.stdout)
    return found


def test_loading_the_code_location_imports_nothing_heavy_and_parses_a_query_once(tmp_path: Path) -> None:
    assert imported_by_loading([*HEAVY, "sqlglot"], tmp_path) == ["sqlglot"]
    assert imported_by_loading([*HEAVY, "sqlglot"], tmp_path) == []


def test_definitions_are_what_is_declared_with_a_resource_a_role(shop: Project) -> None:
    definitions = shop.definitions
    assert set(definitions.resources) == set(shop.services)
    assert definitions.executor is dg.in_process_executor
    names = {job.name for job in definitions.jobs}
    assert {"everything", "refresh", "ingest"} <= names
    sensors = {sensor.name for sensor in definitions.sensors}
    assert sensors == {"landed_files", "following", "rollouts", "telling"}
    assert [schedule.name for schedule in definitions.schedules] == ["daily", "maintenance", "audit"]


def test_declared_is_bound_to_nothing(shop: Project) -> None:
    assert not declared(shop.module).resources
    keys = {key.to_user_string() for made in declared(shop.module).assets for key in made.keys}
    assert "gold/totals" in keys
    assert "models/returns__champion" in keys


def test_one_declaration_is_found_by_its_key(shop: Project) -> None:
    found = declaration("features/order_v1", shop.module)

    assert isinstance(found, FeatureView)
    assert found.entity == ["order_id"]
    with pytest.raises(NotFoundError, match="Did you mean features/order_v1"):
        declaration("features/order_v2", shop.module)


def test_tables_that_are_made_from_each_other_are_refused(shop: Project) -> None:
    shop.write("silver/orders/orders.sql", "SELECT * FROM gold.totals")
    with pytest.raises(DeclarationError, match="there is a circle, but nothing can be made from itself: "):
        _ = shop.definitions


def test_error_of_a_declaration_comes_alone(shop: Project) -> None:
    shop.change("gold/totals/totals.sql", "silver.orders", "silver.order")
    with pytest.raises(DeclarationError) as raised:
        _ = shop.definitions
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert str(raised.value).count("\n") == 0


def test_error_that_is_no_declarations_fault_passes_through(shop: Project) -> None:
    shop.write("landing/shop/shop.py", "raise RuntimeError('a fault in a program')\n")
    with pytest.raises(RuntimeError, match="a fault in a program"):
        _ = shop.definitions


def test_environments_in_one_home_do_not_see_each_other(tmp_path: Path, made: Made) -> None:
    # given the same declarations in two environments of one home, and one of them made
    ours, theirs = shops.project(tmp_path, "dev-a"), Project(tmp_path, shops.FILES, "dev-b")
    assert ours.run("group:bronze or group:silver", shops.EVERYTHING).success
    registry, package = ours.service("model_registry"), tmp_path / "package"
    made.project.service("model_registry").fetch("returns", 1, package)
    registry.move_alias("returns", "champion", registry.register("returns", package, {}).number)
    # then the other has none of its tables, files and models
    assert "Materialize silver/orders first" in theirs.run('key:"gold/totals"').failures["gold/totals"]
    assert "no landed file" in theirs.run('key:"bronze/stores"').failures["bronze/stores"]
    assert theirs.service("model_registry").versions("returns") == []
    assert theirs.service("model_registry").version("returns", "champion") is None
    assert theirs.service("endpoint_host").endpoints() == []


def test_validate_names_file_and_fault_and_exits_with_1(tmp_path: Path) -> None:
    project = Project(tmp_path, shops.FILES)
    project.change("gold/totals/defs.yaml", "together.", "together.\n  partitoned: true")
    program = (
        f"import dagster as dg\nimport {project.name}\nfrom ml_platform.binding import bindings\n"
        "from ml_platform.definitions import build_definitions\n\n\n"
        f"@dg.definitions\ndef defs():\n    return build_definitions({project.name}, bindings())\n"
    )
    (tmp_path / "tiny.py").write_text(program)
    finished = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-m", "tiny", "-d", str(tmp_path)],
        env={**os.environ, "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 1
    said = finished.stdout + finished.stderr
    assert f"{project.name}/gold/totals/defs.yaml:5: partitoned is set, but a Table has no such field" in said
    assert "(error)" not in said


def test_services_of_the_profile_can_be_bound(shop: Project) -> None:
    assert build_definitions(shop.module, bindings()).resolve_asset_graph()
