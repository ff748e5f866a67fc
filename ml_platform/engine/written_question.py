"""A training set's question as JSON, in which it travels with every model that learned from its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ml_platform.engine.training import Question
from ml_platform.records.feature import FeatureView, RequestTimeFeatures
from ml_platform.records.split import HashSplit, Split, TimeSplit


def written(question: Question) -> dict[str, Any]:
    """The question as JSON has it."""
    return asdict(question)


def read(content: Mapping[str, Any]) -> Question:
    """The question that was written."""
    views = {
        key: FeatureView(**{**view, "entity": tuple(view["entity"]), "features": tuple(view["features"])})
        for key, view in content["views"].items()
    }
    lists = {name: tuple(content[name]) for name in ("columns", "entity")}
    # A model that was fitted before there were any does not say so.
    computed = {key: RequestTimeFeatures(**it) for key, it in content.get("request_time", {}).items()}
    return Question(**{**content, **lists, "views": views, "request_time": computed, "split": _split(content["split"])})


def _split(content: Mapping[str, Any]) -> Split:
    if "shares" in content:
        return HashSplit(tuple(content["of"]), content["shares"])
    ranges = {name: (first, last) for name, (first, last) in content["ranges"].items()}
    return TimeSplit(content["by"], ranges, content["gap_hours"])
