"""What a declared gate has to keep beyond its types, by the model that it belongs to and the columns that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ml_platform.errors import nearest
from ml_platform.records.metric import METRICS, SHARES

if TYPE_CHECKING:
    from ml_platform.components.model import Model

# Where it stands in the declaration, what is wrong, and what is allowed.
Fault = tuple[tuple[str | int, ...], str, str]


def gate_faults(model: Model, columns: Sequence[str]) -> Iterator[Fault]:
    """Everything that is wrong with the model's gate. columns: of the training set's table."""
    yield from _of_floors(model)
    yield from _of_slices(model, columns)
    bounds = model.gate.calibration
    if bounds is None:
        return
    if bounds.max_error is not None and model.task == "regression":
        told = "gate.calibration.max_error is given, but a regression has no probabilities"
        yield ("gate", "calibration"), told, "Its slope and its intercept are bounded"
    if model.task == "multiclass" and (bounds.slope or bounds.intercept):
        told = "gate.calibration bounds a line, but that of several classes is more than one"
        yield ("gate", "calibration"), told, "max_error is of the class that a row is taken for"


def _of_floors(model: Model) -> Iterator[Fault]:
    """Floors of shares that every version passes, or none can."""
    for name, floor in model.gate.floors.items():
        if name in SHARES and not 0 <= floor <= 1:
            told = f"gate.floors.{name} is {floor:g}, but no version is ever measured there"
            yield ("gate", "floors", name), told, f"{name} is in 0 to 1"


def _of_slices(model: Model, columns: Sequence[str]) -> Iterator[Fault]:
    floor, known = model.gate.slices, METRICS[model.task]
    if floor is None:
        return
    if floor.metric is not None and floor.metric not in known:
        told = f"gate.slices.metric has {floor.metric}, but no {model.task} task is measured by it"
        yield ("gate", "slices", "metric"), told, f"Metrics of it are {', '.join(known)}"
    if not (floor.by or model.slices):
        told = "gate.slices tells rows apart, but it names no column, and neither does the model under slices"
        yield ("gate", "slices"), told, "For instance by: [carrier]"
    for at, column in enumerate(floor.by):
        if column not in columns:
            told = f"gate.slices.by has {column!r}, but the training set has no such column"
            yield ("gate", "slices", "by", at), told, nearest(column, columns)
