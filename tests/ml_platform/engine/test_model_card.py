from __future__ import annotations

import pytest

from ml_platform.engine.model_card import written
from ml_platform.engine.package import Feature, ModelCard

CARD = ModelCard(
    task="binary",
    estimator="linear",
    label="late",
    features=(Feature("wind", "number"), Feature("carrier", "category", ("AA", "DL"), others=True)),
    parameters={"C": 0.5},
    seed=3,
    splits={"train": {"rows": 1200, "rate": 0.25}},
    versions={"numpy": "2.4.6"},
    context={
        "model": "models/late",
        "training_set": "training_sets/late",
        "training_set_fingerprint": "abcdef0123456789",
    },
)
TEST = {"log_loss": 0.5, "roc_auc": 0.75}
METRICS = {"train": TEST, "validate": TEST, "test": TEST, "baseline": {"test": {"log_loss": 0.6, "roc_auc": 0.5}}}
SLICES = [
    {"column": "carrier", "value": "AA", "rows": 900, "log_loss": 0.4},
    {"column": "carrier", "value": "DL", "rows": 90, "log_loss": 0.7},
    {"column": "carrier", "value": "UA", "rows": 9},
]


@pytest.fixture(scope="module")
def text() -> str:
    return written(CARD, METRICS, SLICES, {"carrier": 0.01, "wind": 0.2}, ["A thing to know."])


@pytest.mark.parametrize(
    "line",
    [
        "# models/late",
        "A binary model by the estimator linear. It says the probability that late is true.",
        "training_sets/late, content abcdef012345.",
        "| train | 1,200 | 0.25 |",
        "| log_loss | lower | 0.5000 | 0.5000 | 0.5000 | 0.6000 |",
        "| roc_auc | higher | 0.7500 | 0.7500 | 0.7500 | 0.5000 |",
        "| carrier | category, 2 values; an unknown one is one of the others |",
        "- A thing to know.",
        "| C | 0.5 |",
        "| numpy | 2.4.6 |",
    ],
)
def test_card_says_what_was_measured(text, line):
    assert line in text.splitlines()


def test_worst_slice_and_most_important_feature_come_first(text):
    lines = text.splitlines()
    assert lines.index("| carrier: DL | 90 | 0.7000 |") < lines.index("| carrier: AA | 900 | 0.4000 |")
    assert lines.index("| wind | 0.20000 |") < lines.index("| carrier | 0.01000 |")
    assert "UA" not in text


def test_shares_of_classes_stand_beside_their_names():
    card = ModelCard(
        "multiclass",
        "linear",
        "kind",
        (),
        {},
        1,
        {"train": {"rows": 4, "rate": {"a": 0.25, "b": 0.75}}},
        classes=("a", "b"),
    )
    text = written(card, {**METRICS, "test": TEST}, [], {}, [])
    assert "| train | 4 | a 25.0%, b 75.0% |" in text
    assert "Where it is weakest" not in text
