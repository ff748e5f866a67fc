from __future__ import annotations

import json

import pytest

from ml_platform.engine.training import Question
from ml_platform.engine.written_question import read, written
from ml_platform.records.feature import FeatureView
from ml_platform.records.split import HashSplit, Split, TimeSplit


@pytest.mark.parametrize(
    "split",
    [
        TimeSplit("month", {"train": ("2024-01", "2024-02"), "test": ("2024-03", "2024-03")}, gap_hours=6.0),
        HashSplit(("store",), {"train": 0.8, "test": 0.2}),
    ],
    ids=["time", "hash"],
)
def test_a_question_is_the_same_after_it_was_json(split: Split) -> None:
    question = Question(
        events="gold/flights",
        columns=("flight", "at", "late"),
        entity=("flight",),
        event_time="at",
        label="late",
        split=split,
        views={
            "features/weather_v1": FeatureView("weather_v1", ("origin",), ("wind",), 6.0),
            "features/plane_v1": FeatureView("plane_v1", ("flight",), ("seats",), 24.0),
        },
        where="late IS NOT NULL",
        at_a_time=7,
    )

    travelled = read(json.loads(json.dumps(written(question))))

    assert travelled == question
    assert list(travelled.views) == list(question.views)
