from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from ml_platform.components.gate import Gate
from ml_platform.engine.gate import SliceRule
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project

FLOORS = "{roc_auc: 0.5, log_loss: 0.75}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f"    floors: {FLOORS}\n", "", "gate.floors is missing, but a Model needs it"),
        (FLOORS, "{}", "gate.floors is {}, but that cannot be: .*at least 1 item"),
        (FLOORS, "{auc: 0.5}", "gate.floors.auc is 'auc', but that cannot be: .*'roc_auc', 'average_precision'"),
        ("metric: log_loss", "metric: speed", "gate.metric is 'speed', but that cannot be"),
        (FLOORS, f"{FLOORS}\n    minimum_effect: -0.1", "gate.minimum_effect is -0.1, but that cannot be"),
        (FLOORS, f"{FLOORS}\n    split: train", "gate.split is 'train', but that cannot be"),
        (FLOORS, f"{FLOORS}\n    confidence: 1", "gate.confidence is 1, but that cannot be"),
        (FLOORS, f"{FLOORS}\n    latency: {{}}", ".*latency has no bound, so that anything would pass"),
        (FLOORS, f"{FLOORS}\n    calibration: {{slope: {{}}}}", ".*neither min nor max, so that anything would pass"),
        (FLOORS, f"{FLOORS}\n    calibration: {{slope: {{min: 2, max: 1}}}}", ".*so that nothing would pass"),
        (FLOORS, f"{FLOORS}\n    max_size_mib: 0", "gate.max_size_mib is 0, but that cannot be"),
        (FLOORS, f"{FLOORS}\n    slices: {{by: [store]}}", "gate.slices.floor is missing"),
        (FLOORS, f"{FLOORS}\n    slices: {{by: [store], floor: 1, min_rows: 3}}", "gate.slices.min_rows is 3, but"),
        (FLOORS, f"{FLOORS}\n    promote: never", "gate.promote is 'never', but that cannot be"),
        (FLOORS, f"{FLOORS}\n    dry_run: true", "gate.dry_run is set, but a Model has no such field"),
    ],
)
def test_gate_that_could_let_anything_pass_is_refused(shop: Project, old: str, new: str, message: str) -> None:
    shop.change("models/returns/defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=rf"models/returns/defs.yaml:\d+: {message}"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("promote", "made", "withheld"),
    [
        ("manual", ["models/late__champion"], False),
        ("manual", ["models/late__champion", "models/early__champion"], False),
        ("manual", ["models/late__champion", "models/late"], True),
        ("manual", ["models/late__champion", "gold/totals"], True),
        ("automatic", ["models/late__champion", "models/late"], False),
    ],
)
def test_only_a_run_of_champions_moves_what_is_promoted_by_hand(promote: str, made: list[str], withheld: bool) -> None:
    gate = Gate.model_validate({"floors": {"r2": 0.5}, "promote": promote})
    keys = {dg.AssetKey(key.split("/")) for key in made}
    context: Any = SimpleNamespace(
        asset_key=dg.AssetKey(["models", "late__champion"]),
        job_def=SimpleNamespace(asset_layer=SimpleNamespace(selected_asset_keys=keys)),
    )
    assert ("Materialize models/late__champion and nothing beside it" in gate.withheld(context)) is withheld
    assert bool(gate.withheld(context)) is withheld


def test_what_is_declared_is_what_the_engine_decides_by() -> None:
    gate = Gate.model_validate(
        {
            "floors": {"roc_auc": 0.6},
            "minimum_effect": 0.01,
            "slices": {"floor": 0.7},
            "calibration": {"max_error": 0.05, "slope": {"min": 0.8}, "intercept": {"min": -0.1, "max": 0.1}},
            "latency": {"max_median_ms": 5, "max_p99_ms": 50},
            "max_size_mib": 4,
        }
    )
    rules = gate.rules("binary", ["carrier"], 7)
    assert (rules.metric, rules.confidence, rules.seed, rules.minimum_effect) == ("log_loss", 0.95, 7, 0.01)
    assert rules.slices == SliceRule(("carrier",), "log_loss", 0.7, 200)
    assert rules.limits == {
        "expected_calibration_error": (None, 0.05),
        "calibration_slope": (0.8, None),
        "calibration_intercept": (-0.1, 0.1),
        "latency_median_ms": (None, 5),
        "latency_p99_ms": (None, 50),
        "size_mib": (None, 4),
    }
