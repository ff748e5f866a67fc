from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from ml_platform.engine.training_rows import assembled, read, written
from ml_platform.errors import AuditError
from ml_platform.records.feature import FeatureView
from ml_platform.records.training_set import TrainingRecipe

AT = [datetime(2024, 1, day, tzinfo=UTC) for day in (3, 1, 2)]
RECIPE = TrainingRecipe(
    key="training_sets/late",
    events="gold/flights",
    entity=("flight",),
    event_time="at",
    label="late",
    columns=("flight", "at", "late", "month"),
    where="late IS NOT NULL",
    views={"features/plane_v1": FeatureView("plane_v1", ("flight",), ("seats",), 24.0)},
    split={"by": "month", "train": ("2024-01", "2024-01"), "test": ("2024-02", "2024-02")},
)
FRAMES = {
    "flights": pa.table(
        {"flight": ["a", "b", "c"], "at": AT, "late": [True, False, True], "month": ["2024-01", "2024-01", "2024-03"]}
    ),
    "plane_v1": pa.table(
        {
            "flight": ["a", "a", "b"],
            "event_time": [AT[2], AT[0].replace(day=4), AT[1]],
            "known_at": [AT[2], AT[0].replace(day=4), AT[1]],
            "seats": [10, 99, 20],
        }
    ),
}


def test_rows_are_in_the_order_of_their_moments_with_their_split_and_features_as_of_then() -> None:
    rows = assembled(RECIPE, FRAMES).to_pylist()

    assert [(row["flight"], row["seats"], row["split"]) for row in rows] == [("b", 20, "train"), ("a", 10, "train")]


def test_a_recipe_is_the_same_after_it_was_json() -> None:
    travelled = read(json.loads(json.dumps(written(RECIPE))))

    assert assembled(travelled, FRAMES) == assembled(RECIPE, FRAMES)
    assert list(travelled.views) == list(RECIPE.views)
    assert travelled.views == RECIPE.views


def test_events_without_a_column_of_the_recipe_are_refused() -> None:
    with pytest.raises(AuditError, match="gold/flights has no column late"):
        assembled(RECIPE, {**FRAMES, "flights": FRAMES["flights"].drop_columns("late")})
