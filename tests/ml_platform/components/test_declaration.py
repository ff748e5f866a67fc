from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project


def description(project: Project, key: str) -> str | None:
    specs = {spec.key.to_user_string(): spec for spec in project.definitions.resolve_all_asset_specs()}
    return specs[key].description


def test_a_text_stays_as_it_is_written(shop: Project) -> None:
    shop.change("gold/totals/defs.yaml", "description: ", "description: \"('2013')\" #")
    assert description(shop, "gold/totals") == "('2013')"


FLOORS = "floors: {roc_auc: 0.5, log_loss: 0.75}"


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan", "'inf'", "1e999"])
def test_a_bound_that_holds_nothing_is_refused_by_file_and_line(shop: Project, number: str) -> None:
    shop.change("endpoints/returns/defs.yaml", "parity: {rows: 20}", f"parity: {{rows: 20, tolerance: {number}}}")
    with pytest.raises(DeclarationError, match=r"endpoints/returns/defs.yaml:\d+: .*(finite|greater than 0)"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("declared", "place"),
    [
        ("max_size_mib: .inf", "gate.max_size_mib is inf"),
        ("latency: {max_p99_ms: .inf}", "gate.latency.max_p99_ms is inf"),
        ("calibration: {max_error: .inf}", "gate.calibration.max_error is inf"),
        ("slices: {by: [store], floor: .inf}", "gate.slices.floor is inf"),
        ("minimum_effect: .inf", "gate.minimum_effect is inf"),
    ],
)
def test_a_gate_that_lets_anything_pass_is_refused(shop: Project, declared: str, place: str) -> None:
    shop.change("models/returns/defs.yaml", FLOORS, f"{FLOORS}\n    {declared}")
    with pytest.raises(
        DeclarationError, match=rf"models/returns/defs.yaml:\d+: {place}, but a number has to be finite"
    ):
        _ = shop.definitions


def test_what_is_said_twice_is_refused_for_one_would_be_lost(shop: Project) -> None:
    shop.change("models/returns/defs.yaml", FLOORS, f"{FLOORS}\n    floors: {{roc_auc: 0.0}}")
    with pytest.raises(DeclarationError, match=r"models/returns/defs.yaml:\d+: floors is said twice"):
        _ = shop.definitions
