"""What a monitor says: one statistic of one window, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Family = Literal["drift", "prediction_drift", "quality", "skew", "freshness", "volume", "input"]
State = Literal["steady", "drifted", "decayed", "skewed", "broken", "not enough data"]
Baseline = Literal["training_set", "previous", "season"]

FAMILIES: tuple[Family, ...] = ("drift", "prediction_drift", "quality", "skew", "freshness", "volume", "input")
MEANINGS: Mapping[Family, str] = {
    "drift": "Features are distributed as they were in the baseline.",
    "prediction_drift": "What the model says is distributed as it was in the baseline.",
    "quality": "The model is as good as it was, as far as labels are known by now.",
    "skew": "Features that were seen are those that are computed again of the same moment.",
    "freshness": "The newest row is young enough.",
    "volume": "As many rows came as are expected.",
    "input": "Inputs have the columns that the baseline has, in their types.",
}
"""What holds of a window where a family finds nothing."""
WORDS: Mapping[Family, str] = {family: family.replace("_", " ").capitalize() for family in FAMILIES} | {
    "drift": "Data drift"
}
NOT_ENOUGH: State = "not enough data"
NO_WINDOW = "none yet"
"""What stands for the window of a finding before there is any."""
PREDICTION = "prediction"


@dataclass(frozen=True)
class Finding:
    """One statistic of one window.

    window: its name. feature: what it is of; `prediction` for the output, empty for the window as a whole.
    value: None where there is none. lower, upper: the ends of its 95 % interval, where it has one.
    threshold: from where on it is not steady any more. rows: how many it is of. baseline: what it is held against.
    detail: for people.
    """

    window: str
    family: Family
    feature: str
    statistic: str
    value: float | None
    state: State
    rows: int
    threshold: float | None = None
    lower: float | None = None
    upper: float | None = None
    baseline: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Thresholds:
    """From where on a feature counts as drifted; None is never.

    psi, ks, jensen_shannon: the statistics of `engine.drift`. null_share: rise of the share of missing values, in 0–1.
    new_categories: share of rows whose category the baseline has not, in 0–1.
    """

    psi: float | None = 0.25
    ks: float | None = 0.2
    jensen_shannon: float | None = 0.2
    null_share: float | None = 0.1
    new_categories: float | None = 0.05


@dataclass(frozen=True)
class QualityRules:
    """When the quality counts as decayed.

    limits: metric → the worst value that is allowed; of the others, the champion's own on the test split, worse by the
    share `decay`. within_hours: hours after its event by which a label has come.
    labelled_share: share in 0–1 of the events that are that old below which labels count as missing.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    decay: float = 0.1
    minimum_labels: int = 500
    within_hours: float = 168.0
    labelled_share: float = 0.5


@dataclass(frozen=True)
class MonitorRules:
    """What a monitor holds windows against.

    baseline: the champion's training set, the `baseline_windows` windows before, or the one window that many before.
    of_features: feature → its own thresholds. null_flood: rise of the share of missing values, in 0–1, that is no drift
    but broken input. volume: least and most rows of a window, as shares of the median of those before.
    failed_share: share of the requests of a window without an answer, in 0–1, beyond which it is broken.
    freshness_hours: age of the newest event from which on nothing is fresh; None where it is not asked.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    of_features: Mapping[str, Thresholds] = field(default_factory=dict)
    minimum_rows: int = 500
    baseline: Baseline = "training_set"
    baseline_windows: int = 1
    windows: int = 60
    null_flood: float = 0.5
    volume: tuple[float, float] = (0.5, 2.0)
    failed_share: float = 0.05
    freshness_hours: float | None = None
    quality: QualityRules | None = None
