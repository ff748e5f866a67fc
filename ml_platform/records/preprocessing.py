"""Pre-processing as it travels: the kinds of steps, what each takes and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ml_platform.records.model import FeatureType

StepKind = Literal["drop", "clip", "log", "impute", "scale", "rare", "one_hot", "target", "ordinal"]


@dataclass(frozen=True)
class StepShape:
    """What a kind of step can be said of.

    takes: the types of features. gives: the type that is left under the feature's name; None where none is.
    """

    takes: tuple[FeatureType, ...]
    gives: FeatureType | None


SHAPES: Mapping[StepKind, StepShape] = {
    "drop": StepShape(("number", "category"), None),
    "clip": StepShape(("number",), "number"),
    "log": StepShape(("number",), "number"),
    "impute": StepShape(("number",), "number"),
    "scale": StepShape(("number",), "number"),
    "rare": StepShape(("category",), "category"),
    "one_hot": StepShape(("category",), None),
    "target": StepShape(("category",), "number"),
    "ordinal": StepShape(("category",), "number"),
}


@dataclass(frozen=True)
class Step:
    """One step, said of some features. settings: of its kind."""

    kind: StepKind
    features: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
