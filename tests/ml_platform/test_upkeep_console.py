from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ml_platform.cli import main
from ml_platform.engine import delta
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, LANDING, MONTHS, orders

ROOT = Path(__file__).parents[2]
Invoke = Callable[..., Result]


@pytest.fixture
def invoke(shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """The command line over the shop, whose bronze tables are made; its environment is the shop's."""
    assert shop.run("group:bronze", EVERYTHING).success
    (tmp_path / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "shop_definitions", SimpleNamespace(defs=lambda: shop.definitions))
    registry = MemoryModelRegistry()  # no model is fitted here, and MLflow takes seconds to say so
    services = {"model_registry": lambda: registry}
    monkeypatch.setattr("ml_platform.binding.service", lambda role: services.get(role, lambda: shop.service(role))())

    def run(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(main, [command, "-m", "shop_definitions", *arguments])

    return run


def test_maintain_says_what_it_saved_and_exits_with_0(invoke: Invoke, shop: Project) -> None:
    shop.land(LANDING, "orders/late.csv", orders("2024-02", count=5, first=80))
    assert shop.run('key:"bronze/orders"', EVERYTHING).success
    result = invoke("maintain", "--select", 'key:"bronze/orders" or key:"silver/orders"')
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    # four months, of which one came in two files, and a manifest of two
    assert lines == [["bronze/orders", "7 → 5 files"], ["silver/orders", "not made yet"]]


def test_audit_of_what_is_intact_exits_with_0(invoke: Invoke) -> None:
    result = invoke("audit", "--select", 'key:"bronze/stores"')
    assert result.exit_code == 0, result.output
    assert "bronze/stores" in result.stdout
    assert "intact, 2 files" in result.stdout


def test_audit_of_one_altered_byte_names_it_and_exits_with_1(invoke: Invoke, shop: Project) -> None:
    location = shop.lakehouse.table("bronze/stores")
    (file,) = delta.existing(location).files
    path = Path(location.uri) / file.path
    content = path.read_bytes()
    path.write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
    result = invoke("audit", "--select", "group:bronze")
    assert result.exit_code == 1
    assert "DAMAGED" in result.stdout
    assert result.stderr.splitlines() == [
        f"error: bronze/stores: {file.path} does not hold what was written (versions 0).",
        "touched versions: bronze/stores 0",
    ]


def test_restore_puts_a_version_back_and_shows_the_reason(invoke: Invoke, shop: Project) -> None:
    shop.land(LANDING, "orders/late.csv", orders("2024-02", count=5, first=80))
    assert shop.run('key:"bronze/orders"', EVERYTHING).success
    result = invoke("restore", "bronze/orders@0", "--why", "late.csv was wrong")
    assert result.exit_code == 0, result.output
    rows = 60 * len(MONTHS)
    assert result.stdout == (
        f"bronze/orders stands as at version 0, in version 2: {rows} rows, 0 files back, 1 gone, open again: ingest\n"
    )
    with dg.DagsterInstance.get() as instance:
        (seen,) = instance.fetch_observations(dg.AssetKey(["bronze", "orders"]), limit=5).records
    assert seen.event_log_entry.asset_observation.metadata["why"].value == "late.csv was wrong"
    # and the next run takes it again, once
    assert shop.run('key:"bronze/orders"', EVERYTHING).success
    assert len(shop.rows("bronze/orders")) == rows + 5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("maintain", "--select", "group:nope"), 1, "error: the selection is 'group:nope', but it matches no asset"),
        (("audit", "--select", "group:models"), 1, "error: the selection is 'group:models', but it matches no table"),
        (("restore", "bronze/order@0", "--why", "x"), 1, "error: the table bronze/order is not there, but it is to be"),
        (("restore", "bronze/orders@7", "--why", "x"), 1, "error: version 7 of bronze/orders is asked for, but there"),
        (("restore", "bronze/orders@0", "--why", " "), 1, "error: the reason is empty, but a restore says why"),
    ],
)
def test_wrong_input_is_one_sentence(invoke: Invoke, arguments: tuple[str, ...], code: int, message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == code
    assert result.stderr.startswith(message), result.output
    assert result.stderr.count("\n") == 1


def test_restore_wants_a_version_and_a_reason(invoke: Invoke) -> None:
    result = invoke("restore", "bronze/orders", "--why", "x")
    assert result.exit_code == 2
    assert "written as silver/flights@3" in result.stderr
    assert invoke("restore", "bronze/orders@0").exit_code == 2
