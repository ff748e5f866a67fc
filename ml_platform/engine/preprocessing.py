"""Pre-processing: declared steps, fitted on the train split, and done by the same code when a model is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.package import Feature, feature_of, read_json, write_json
from ml_platform.engine.preprocessing_steps import APPLY, FIT, cross_fitted
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.preprocessing import SHAPES, Step

Matrix = NDArray[np.float64]
FILE = "preprocessing.json"


@dataclass(frozen=True)
class Action:
    """One fitted step of one feature: what its column becomes. state: what was learned of it, as JSON holds it."""

    kind: str
    feature: str
    outputs: tuple[Feature, ...]
    state: Mapping[str, Any]

    def apply(self, column: Matrix) -> list[Matrix]:
        """A column for each output."""
        return APPLY[self.kind](self.state, column)


class Preprocessing:
    """The actions in their order, from an encoded matrix to the one that an estimator reads.

    features: of the encoded matrix. design: of the one that comes out.
    """

    def __init__(self, features: tuple[Feature, ...], actions: Sequence[Action] = ()) -> None:
        self.features = features
        self.actions = tuple(actions)
        self.design = self._design()

    @classmethod
    def fit(
        cls,
        steps: Sequence[Step],
        features: tuple[Feature, ...],
        train: tuple[Matrix, Matrix],
        classes: Sequence[str] = (),
    ) -> tuple[Self, Matrix]:
        """The steps fitted on the train split, and its own matrix as the estimator is to be fitted on it.

        classes: of a multiclass task, whose labels are their places.

        A target's means are cross-fitted there: a row's own label is not in what stands for its category.
        Raises DeclarationError for a step of a feature that is not there any more, or not of its type.
        """
        matrix, label = train
        standing = {feature.name: (feature, matrix[:, at]) for at, feature in enumerate(features)}
        slots = {feature.name: [feature.name] for feature in features}
        actions = []
        for declared in steps:
            told = {"classes": list(classes)} if declared.kind == "target" and classes else {}
            step = replace(declared, settings={**declared.settings, **told})
            for name in step.features:
                feature, column = _standing(standing, name, step)
                outputs, state = FIT[step.kind](step, feature, column, label)
                action = Action(step.kind, name, outputs, state)
                made = cross_fitted(step, feature, column, label) if step.kind == "target" else action.apply(column)
                _replace(standing, slots, name, dict(zip(outputs, made, strict=True)))
                actions.append(action)
        fitted = cls(features, actions)
        names = [feature.name for feature in fitted.design]
        return fitted, np.column_stack([standing[name][1] for name in names]) if names else matrix[:, :0]

    @classmethod
    def load(cls, package: Path, features: tuple[Feature, ...]) -> Self:
        """As it was saved; nothing is done where the package has no steps."""
        if not (package / FILE).exists():
            return cls(features)
        return cls(
            features,
            [
                Action(it["kind"], it["feature"], tuple(feature_of(output) for output in it["outputs"]), it["state"])
                for it in read_json(package / FILE)["actions"]
            ],
        )

    def save(self, package: Path) -> None:
        """`preprocessing.json` holds the actions; no action leaves no file."""
        if self.actions:
            write_json(package / FILE, {"actions": [asdict(action) for action in self.actions]})

    def apply(self, matrix: Matrix) -> Matrix:
        """The matrix that the estimator reads."""
        if not self.actions:
            return matrix
        columns = {feature.name: matrix[:, at] for at, feature in enumerate(self.features)}
        for action in self.actions:
            made = action.apply(columns[action.feature])
            columns.update({output.name: column for output, column in zip(action.outputs, made, strict=True)})
        return np.column_stack([columns[feature.name] for feature in self.design])

    def _design(self) -> tuple[Feature, ...]:
        """What each feature has become, in the place of that feature."""
        standing = {feature.name: (feature, np.empty(0)) for feature in self.features}
        slots = {feature.name: [feature.name] for feature in self.features}
        for action in self.actions:
            _replace(standing, slots, action.feature, dict.fromkeys(action.outputs, np.empty(0)))
        return tuple(standing[name][0] for feature in self.features for name in slots[feature.name])


def asked_for(features: Sequence[Feature], steps: Sequence[Step]) -> tuple[Feature, ...]:
    """The features as the steps want them encoded: where rare values are put together, unknown ones are too."""
    folded = {name for step in steps if step.kind == "rare" for name in step.features}
    return tuple(replace(feature, others=feature.name in folded) for feature in features)


def _standing(standing: Mapping[str, tuple[Feature, Matrix]], name: str, step: Step) -> tuple[Feature, Matrix]:
    if name not in standing:
        raise DeclarationError(
            f"preprocessing has {step.kind} of {name}, but there is no such feature at that step",
            allowed=nearest(name, standing),
        )
    feature, takes = standing[name][0], SHAPES[step.kind].takes
    if feature.type not in takes:
        raise DeclarationError(
            f"preprocessing has {step.kind} of {name}, but it is a {feature.type}, and that is of a {takes[0]}"
        )
    return standing[name]


def _replace(
    standing: dict[str, tuple[Feature, Matrix]], slots: dict[str, list[str]], name: str, made: Mapping[Feature, Matrix]
) -> None:
    """The outputs stand where the feature stood."""
    del standing[name]
    standing.update({feature.name: (feature, column) for feature, column in made.items()})
    for names in slots.values():
        if name in names:
            at = names.index(name)
            names[at : at + 1] = [feature.name for feature in made]
