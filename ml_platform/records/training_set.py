"""Training sets as they travel: how one's rows follow from tables, and which versions of these it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_platform.records.feature import FeatureView


@dataclass(frozen=True)
class TrainingRecipe:
    """How the rows of a training set are made.

    key, events: asset keys. columns: those that are taken from the events. where: an SQL predicate on the events.
    views: asset key → feature view, in the order of the join.
    split: how rows are divided, as it is declared.
    """

    key: str
    events: str
    entity: tuple[str, ...]
    event_time: str
    label: str
    columns: tuple[str, ...]
    where: str | None
    views: Mapping[str, FeatureView]
    split: Mapping[str, Any]
