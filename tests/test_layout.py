"""The laws of the house: who may import whom, which test mirrors which file, and that what is public is described."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import ml_platform.components
from ml_platform.binding import ROLES, class_name

ROOT = Path(__file__).parent.parent
DATA_LIBRARIES = {"lightgbm", "matplotlib", "numpy", "optuna", "pandas", "polars", "pyarrow", "scipy", "sklearn"}
SERVING_LIBRARIES = {"fastapi", "httpx", "orjson", "starlette", "uvicorn"}
PLATFORM = {
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "adbc_driver_sqlite",
    "click",
    "dagster",
    "dagster_shared",
    "deltalake",
    "ml_platform",
    "psutil",
    "pydantic",
    "pytest",
    "sqlglot",
    "yaml",
}
LAW = {
    "ml_platform": PLATFORM | DATA_LIBRARIES | SERVING_LIBRARIES,
    "assets": {"assets", "dagster", "ml_platform", "pydantic"} | DATA_LIBRARIES,
    "resources": {"dagster", "ml_platform", "pydantic", "resources"},
}
AWS, GCP = {"boto3", "botocore", "dagster_aws"}, {"dagster_gcp", "google"}
DATABRICKS = {"boto3", "botocore", "dagster_databricks", "databricks", "deltalake", "mlflow", "pyspark", "requests"}
SPARK = {"grpc", "pyarrow", "sqlglot"}
SERVERS = {"orjson", "psutil", "starlette", "uvicorn"}
SDK = {
    "aws": AWS,
    "aws/testing": AWS | SERVERS | {"httpx", "moto", "werkzeug"},
    "databricks": DATABRICKS | SPARK | {"httpx"},
    "databricks/testing": DATABRICKS | SERVERS | {"google", "httpx", "moto", "pysail"},
    "embedded": {"duckdb", "httpx", "mlflow", "numpy", "orjson", "psutil", "pyarrow", "polars"},
    "gcp": GCP,
    "gcp/testing": GCP | SERVERS | {"google_crc32c", "httpx"},
    "mlflow": {"mlflow", "pyarrow"},
    "slack": {"dagster_slack", "slack_sdk"},
}
MEETING_PLACES = {"ml_platform/definitions.py", "ml_platform/binding.py"}
OPEN_TO_SERVICES = ("roles", "records", "errors", "engine", "jobs", "testing")
WITHOUT_A_TEST = ("ml_platform/roles/", "ml_platform/records/", "ml_platform/testing/")


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sources(*LAW), ids=named)
def test_a_file_imports_only_what_its_folder_may(path: Path) -> None:
    folder = named(path).split("/")[0]
    allowed = LAW[folder] | set(sys.stdlib_module_names)
    if folder == "resources" and len(path.relative_to(ROOT).parts) > 2:
        allowed |= SDK["/".join(path.relative_to(ROOT).parts[1:-1])]
    if named(path) in MEETING_PLACES:
        allowed |= {"assets", "resources"}

    broken = [name for name in imported(path) if name.split(".")[0] not in allowed]

    assert not broken, f"{named(path)} imports {broken}, which {folder}/ may not"


@pytest.mark.parametrize("path", sources("resources"), ids=named)
def test_a_service_knows_only_the_language_it_speaks(path: Path) -> None:
    broken = [
        name
        for name in imported(path)
        if name.startswith("ml_platform.") and name.split(".")[1] not in OPEN_TO_SERVICES
    ]

    assert not broken, f"{named(path)} imports {broken}; services know {', '.join(OPEN_TO_SERVICES)}"


@pytest.mark.parametrize(
    "path",
    [path for path in sources("ml_platform", "resources") if not named(path).startswith(WITHOUT_A_TEST)],
    ids=named,
)
def test_a_file_has_its_test(path: Path) -> None:
    if path.name == "__init__.py":
        return
    mirror = ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{path.name}"

    assert mirror.exists(), f"{named(path)} has no {named(mirror)}"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=named)
def test_a_test_has_what_it_tests(path: Path) -> None:
    inside = path.relative_to(ROOT / "tests")
    if len(inside.parts) == 1:
        return
    tested = inside.with_name(inside.name.removeprefix("test_"))
    package = inside.parent.name == tested.stem
    found = (ROOT / tested).exists() or package or ((ROOT / tested.parent).is_dir() and tested.parts[0] == "assets")

    assert found, f"{named(path)} tests nothing that is there"


def test_what_is_made_has_its_test() -> None:
    made = [path.parent for path in (ROOT / "assets").rglob("*") if path.suffix in (".sql", ".py")]
    folders = {folder for folder in made if len(folder.relative_to(ROOT).parts) == 3}

    missing = [
        named(folder) for folder in folders if not list((ROOT / "tests" / folder.relative_to(ROOT)).glob("test_*"))
    ]

    assert not missing


@pytest.mark.parametrize("name", ml_platform.components.__all__)
def test_every_field_that_one_may_write_is_described(name: str) -> None:
    waiting: list[type[BaseModel]] = [getattr(ml_platform.components, name)]
    while waiting:
        model = waiting.pop()
        for field, info in model.model_fields.items():
            assert info.description, f"{model.__name__}.{field} is not described"
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                waiting.append(info.annotation)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_its_contract_suite_and_whoever_plays_it_has_a_name_to_be_found_by(role: str) -> None:
    assert (ROOT / "ml_platform" / "testing" / f"{role}.py").exists()
    for path in (ROOT / "resources").glob(f"*/{role}.py"):
        service = path.parent.name
        assert hasattr(importlib.import_module(f"resources.{service}.{role}"), class_name(service, role))


@pytest.mark.parametrize("path", sources("ml_platform", "assets", "resources"), ids=named)
def test_a_module_says_what_it_is(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text())) or ""

    assert said.split("\n\n")[0].rstrip().endswith("."), f"{named(path)} does not open with a sentence"


def test_nothing_committed_names_this_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    here = f"{ROOT}/"
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".png", ".ico") or not path.exists():
            continue
        assert here not in path.read_text(errors="replace"), f"{name} names a path of this machine"
