from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ml_platform.components.inspected import check_results
from ml_platform.records.expectation import Outcome, Rule
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, FILES, declaration, land


@pytest.mark.parametrize(
    ("severity", "broken", "shown"),
    [("fail", 2, "ERROR"), ("quarantine", 2, "WARN"), ("warn", 2, "WARN"), ("warn", 0, "WARN")],
)
def test_a_broken_rule_is_a_failed_check_and_only_one_that_fails_the_run_is_an_error(
    severity: str, broken: int, shown: str
) -> None:
    rule = Rule("r", "not_null", severity, column="v")  # type: ignore[arg-type] # one of them
    (check,) = check_results([Outcome(rule, broken, "v is NULL", ("id=a",) if broken else ())])
    assert (check.check_name, check.passed, check.severity.value) == ("r", not broken, shown)
    assert check.description == ("Broken 2 times: v is NULL." if broken else "Kept.")
    assert check.metadata["examples"] == dg.MetadataValue.json(["id=a"] if broken else [])


def test_a_rule_that_fails_stops_the_run_and_its_check_is_seen(tmp_path: Path) -> None:
    # given a table that is made while its rules are kept
    kept = ("domain.yaml", "bronze/", "silver/orders/")
    project = Project(tmp_path, {path: text for path, text in FILES.items() if path.startswith(kept)})
    land(project.lakehouse)
    about = "description: Checked.\npartitioned: true\nkey: [order_id]\nexpect:\n"
    rule, warned = "  - between: {column: amount, max: 99}\n", "  - {sql: store <> 'west', severity: warn}"
    project.write("silver/checked/defs.yaml", declaration("Table", f"{about}{rule}{warned}"))
    project.write("silver/checked/checked.sql", "SELECT order_id, store, amount, month FROM bronze.orders")
    ran = project.run('group:bronze or key:"silver/checked"', EVERYTHING)
    assert ran.success
    assert [(check.check_name, check.passed) for check in ran.checks["silver/checked"]] == [
        ("amount_between", True),
        ("sql", False),
    ]
    assert ran.checks["silver/checked"][1].metadata["broken"].value == 80
    version = project.version("silver/checked")
    # when one becomes stricter than its rows are
    project.change("silver/checked/defs.yaml", "max: 99", "max: 98")
    ran = project.run('key:"silver/checked"', EVERYTHING)
    # then nothing is committed, and the error and the checks say why
    assert not ran.success
    assert project.version("silver/checked") == version
    assert "silver/checked breaks amount_between, but that fails the run" in ran.failures["silver/checked"]
    assert "amount is greater than 98 (order_id=2024-01-027, amount=99.0; " in ran.failures["silver/checked"]
    check = next(check for check in ran.checks["silver/checked"] if check.check_name == "amount_between")
    assert (check.passed, check.severity, check.metadata["broken"].value) == (False, dg.AssetCheckSeverity.ERROR, 4)
