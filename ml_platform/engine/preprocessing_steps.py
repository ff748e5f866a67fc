"""The steps of pre-processing: what each learns from a column of the train split, and what it makes of any column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.package import Feature
from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.records.preprocessing import Step

Vector = NDArray[np.float64]
Learned = tuple[tuple[Feature, ...], Mapping[str, Any]]
_FOLDS = 5


def _drop(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    return (), {}


def _clip(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    present = _present(feature, column)
    bounds = {}
    for side in ("low", "high"):
        bound, quantile = step.settings.get(side), step.settings.get(f"{side}_quantile")
        bounds[side] = float(np.quantile(present, quantile)) if quantile is not None else bound
    return (feature,), bounds


def _log(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    return (feature,), {}


def _impute(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    by = step.settings["by"]
    if isinstance(by, str):
        middle = np.mean if by == "mean" else np.median
        by = middle(_present(feature, column))
    told = (Feature(f"{feature.name}__missing", "number"),) if step.settings.get("indicator") else ()
    return (feature, *told), {"value": float(by), "indicator": bool(told)}


def _scale(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    present = _present(feature, column)
    low, middle, high = np.quantile(present, [0.25, 0.5, 0.75])
    centre, scale = {
        "standard": (present.mean(), present.std()),
        "robust": (middle, high - low),
        "range": (present.min(), np.ptp(present)),
    }[step.settings["by"]]
    # A constant is left at 0, whatever it is.
    return (feature,), {"centre": float(centre), "scale": float(scale) or 1.0}


def _rare(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    codes = column[~np.isnan(column)].astype(np.int64)
    rows = np.bincount(codes, minlength=len(feature.values) + 1)[: len(feature.values)]
    kept = [code for code, count in enumerate(rows) if count >= step.settings["min_rows"]]
    places = {code: place for place, code in enumerate(kept)}
    becomes = [float(places.get(code, len(kept))) for code in range(len(feature.values) + 1)]
    folded = Feature(feature.name, "category", tuple(feature.values[code] for code in kept), others=True)
    return (folded,), {"codes": becomes}


def _one_hot(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    names = tuple(Feature(f"{feature.name}={value}", "number") for value in feature.categories)
    return names, {"categories": len(names)}


def _target(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    count, smoothing, classes = len(feature.categories), step.settings["smoothing"], step.settings.get("classes")
    if not classes:
        return (Feature(feature.name, "number"),), {"means": _means(column, label, count, smoothing).tolist()}
    shares = [_means(column, side, count, smoothing).tolist() for side in _sides(label, classes)]
    return tuple(Feature(f"{feature.name}={name}", "number") for name in classes), {"shares": shares}


def _ordinal(step: Step, feature: Feature, column: Vector, label: Vector) -> Learned:
    order = step.settings.get("order") or feature.categories
    lacking = [value for value in feature.categories if value not in order]
    if lacking:
        raise DeclarationError(
            f"preprocessing puts {feature.name} in the order {', '.join(order)}, but {lacking[0]} is a value of it too",
            remedy="Add it to order",
        )
    return (Feature(feature.name, "number"),), {"places": [float(order.index(value)) for value in feature.categories]}


FIT: Mapping[str, Callable[[Step, Feature, Vector, Vector], Learned]] = {
    "drop": _drop,
    "clip": _clip,
    "log": _log,
    "impute": _impute,
    "scale": _scale,
    "rare": _rare,
    "one_hot": _one_hot,
    "target": _target,
    "ordinal": _ordinal,
}


def _apply_drop(state: Mapping[str, Any], column: Vector) -> list[Vector]:
    return []


def _apply_clip(state: Mapping[str, Any], column: Vector) -> list[Vector]:
    return [np.clip(column, state["low"], state["high"])]


def _apply_log(state: Mapping[str, Any], column: Vector) -> list[Vector]:
    # Of the distance from 0, on both sides: nothing that is finite has no logarithm.
    return [np.sign(column) * np.log1p(np.abs(column))]


def _apply_impute(state: Mapping[str, Any], column: Vector) -> list[Vector]:
    missing = np.isnan(column)
    filled = np.where(missing, state["value"], column)
    return [filled, missing.astype(np.float64)] if state["indicator"] else [filled]


def _apply_scale(state: Mapping[str, Any], column: Vector) -> list[Vector]:
    return [(column - state["centre"]) / state["scale"]]


def _apply_one_hot(state: Mapping[str, Any], column: Vector) -> list[Vector]:
    # NaN, which is missing or unknown, is equal to no code.
    return [(column == code).astype(np.float64) for code in range(state["categories"])]


def _apply_codes(name: str, otherwise: int | None) -> Callable[[Mapping[str, Any], Vector], list[Vector]]:
    """By code; a missing value has the entry at `otherwise`, or stays missing."""

    def apply(state: Mapping[str, Any], column: Vector) -> list[Vector]:
        missing = np.isnan(column)
        known = np.asarray(state[name], dtype=np.float64)
        last = np.nan if otherwise is None else known[otherwise]
        return [np.append(known, last)[np.where(missing, len(known), column).astype(np.int64)]]

    return apply


def _apply_target(state: Mapping[str, Any], column: Vector) -> list[Vector]:
    # The last of the means is that of all rows.
    every = state["shares"] if "shares" in state else [state["means"]]
    return [made for means in every for made in _apply_codes("means", -1)({"means": means}, column)]


APPLY: Mapping[str, Callable[[Mapping[str, Any], Vector], list[Vector]]] = {
    "drop": _apply_drop,
    "clip": _apply_clip,
    "log": _apply_log,
    "impute": _apply_impute,
    "scale": _apply_scale,
    "rare": _apply_codes("codes", None),
    "one_hot": _apply_one_hot,
    "target": _apply_target,
    "ordinal": _apply_codes("places", None),
}


def cross_fitted(step: Step, feature: Feature, column: Vector, label: Vector) -> list[Vector]:
    """The target's means for the rows that it is fitted on: each fifth of them by the other four. Of classes, a column
    for each: the share of rows that are of it.

    Micci-Barreca, SIGKDD Explorations 3 (2001), for the means; with a row's own label in them, they would leak it.
    """
    classes = step.settings.get("classes")
    return [_cross_fitted(step, feature, column, side) for side in (_sides(label, classes) if classes else [label])]


def _cross_fitted(step: Step, feature: Feature, column: Vector, label: Vector) -> Vector:
    made = np.empty(len(column))
    fold = np.arange(len(column)) % _FOLDS
    for held in range(_FOLDS):
        others = fold != held
        means = _means(column[others], label[others], len(feature.categories), step.settings["smoothing"])
        made[~others] = _apply_codes("means", -1)({"means": means}, column[~others])[0]
    return made


def _sides(label: Vector, classes: Sequence[str]) -> list[Vector]:
    """For every class, whether a row is of it."""
    return [(label == place).astype(np.float64) for place in range(len(classes))]


def _means(column: Vector, label: Vector, categories: int, smoothing: float) -> Vector:
    """The mean label of every code, drawn to that of all rows as if `smoothing` rows had it, which comes last."""
    prior = float(label.mean())
    present = ~np.isnan(column)
    codes = column[present].astype(np.int64)
    rows = np.bincount(codes, minlength=categories)
    sums = np.bincount(codes, weights=label[present], minlength=categories)
    known = rows + smoothing
    means = np.where(known > 0, (sums + smoothing * prior) / np.where(known > 0, known, 1.0), prior)
    return np.append(means, prior)


def _present(feature: Feature, column: Vector) -> Vector:
    present = column[~np.isnan(column)]
    if not len(present):
        raise PlatformError(
            f"feature {feature.name} is missing in every row of split train, but preprocessing learns from its values",
            remedy="Drop the feature, or mend what makes it",
        )
    return present
