from __future__ import annotations

import dagster as dg
import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import Made

DECLARED = "monitors/returns/defs.yaml"


def test_monitor_depends_on_predictions_and_champion_and_has_a_check(made: Made) -> None:
    node = made.project.node("monitors/returns")
    read = {key.to_user_string() for key in node.parent_keys}
    assert read == {"predictions/returns", "models/returns__champion"}
    assert node.kinds == {"deltalake", "monitor"}
    assert [key.name for key in node.check_keys] == ["drift"]


def test_monitor_shows_a_picture_and_a_row_a_window_and_feature(made: Made) -> None:
    said = made.first.said["monitors/returns"]
    assert said["drift"].startswith("![drift](data:image/png;base64,")
    rows = {(record.data["window"], record.data["feature"]): record.data for record in said["windows"].records}
    watched = ("amount", "store", "recent_amount", "hour", "above_recent", "prediction")
    assert set(rows) == {("2024-04", feature) for feature in watched}
    assert rows["2024-04", "amount"]["rows"] == 60
    assert {record.data["table"] for record in said["read"].records} == {"predictions/returns"}


def test_months_that_are_alike_pass_the_check(made: Made) -> None:
    (check,) = made.first.checks["monitors/returns"]
    # the amounts and stores of every month are the very same numbers
    rows = {record.data["feature"]: record.data for record in made.first.said["monitors/returns"]["windows"].records}
    assert rows["amount"]["psi"] == pytest.approx(0)
    assert rows["store"]["psi"] == pytest.approx(0)
    assert check.passed
    assert not check.blocking


def test_month_that_moved_fails_the_check_and_not_the_run(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (made.project.root / DECLARED).read_text()
    try:
        made.project.change(DECLARED, "minimum_rows: 20", "minimum_rows: 20\n  thresholds: {psi: 0.000001}")
        ran = made.project.run('key:"monitors/returns"')
        (check,) = ran.checks["monitors/returns"]
        assert ran.success
        assert not check.passed
        assert check.severity == dg.AssetCheckSeverity.WARN
        assert check.metadata["drifted"].value
        made.project.change(DECLARED, "minimum_rows: 20", "minimum_rows: 61")
        (check,) = made.project.run('key:"monitors/returns"').checks["monitors/returns"]
        assert check.passed
        assert check.metadata["not_enough_data"].value == ["2024-04"]
    finally:
        made.project.write(DECLARED, text)


def test_monitor_without_predictions_fails_the_run(tables: Project) -> None:
    assert "models/returns has no champion" in tables.run('key:"monitors/returns"').failures["monitors/returns"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("predictions/returns", "predictions/return", "it reads 'predictions/return', but .*Did you mean"),
        ("predictions/returns", "silver/orders", "silver/orders is a Table, but what is needed there is a Predictions"),
        ("models/returns", "gold/totals", "gold/totals is a Table, but what is needed there is a Model"),
        ("minimum_rows: 20", "thresholds: {psi: -1}", "psi is -1"),
    ],
)
def test_wrong_declaration_is_refused_by_file(shop: Project, old: str, new: str, message: str) -> None:
    shop.change(DECLARED, old, new)
    with pytest.raises(DeclarationError, match=rf"{DECLARED}.*{message}"):
        _ = shop.definitions
