from __future__ import annotations

from typing import Any

import pytest

from ml_platform.engine import kept_card
from ml_platform.engine.data_card import ROWS, Contents
from ml_platform.engine.kept_card import card_of
from ml_platform.testing.shop import Made


def test_a_card_is_measured_once_for_the_same_rows(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a training set that two runs found the same
    said, again = (ran.said["training_sets/returns"]["data_card"] for ran in (made.first, made.again))
    assert "| train | 120 |" in said
    assert again == said
    # when the same rows are asked for again, nothing is measured
    from ml_platform.engine import delta

    lakehouse, key = made.project.lakehouse, "training_sets/returns"
    snapshot = delta.existing(lakehouse.table(key))

    class Standing:
        def __init__(self) -> None:
            self.snapshot, self.read = snapshot, ()

    asked: list[str] = []
    compute = made.project.service("compute")

    def fetch(query: str) -> Any:
        asked.append(query)
        return compute.fetch(query, {ROWS: snapshot})

    contents = Contents(("order_id",), "event_time", "returned", {"amount": "number"})
    first = card_of(Standing(), contents, "", lakehouse, fetch)  # type: ignore[arg-type]
    assert asked
    asked.clear()
    assert card_of(Standing(), contents, "", lakehouse, fetch) == first  # type: ignore[arg-type]
    assert not asked
    # and by other code it is measured anew
    monkeypatch.setattr(kept_card, "digest", lambda _: "another")
    card_of(Standing(), contents, "", lakehouse, fetch)  # type: ignore[arg-type]
    assert asked
