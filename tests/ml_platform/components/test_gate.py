from __future__ import annotations

import pytest

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
        (FLOORS, f"{FLOORS}\n    dry_run: true", "gate.dry_run is set, but a Model has no such field"),
    ],
)
def test_gate_that_could_let_anything_pass_is_refused(shop: Project, old: str, new: str, message: str) -> None:
    shop.change("models/returns/defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=rf"models/returns/defs.yaml:\d+: {message}"):
        _ = shop.definitions
