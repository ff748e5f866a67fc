"""The Python estimator: two pure functions beside a declaration, kept as their text and the state that one returned."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ml_platform.engine.estimators.contract import FitTask, Matrix
from ml_platform.engine.package import Feature, read_json, write_json
from ml_platform.engine.written_function import function_in
from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.records.metric import Task

_SOURCE = "model.py"
_STATE = "state.json"
FUNCTIONS = ("fit", "predict")
_ROWS_TRIED = 100


@dataclass(frozen=True)
class Rows:
    """What `fit` is given of a split.

    x: float64, a row per row and a column per feature; a category is its code, and NaN is missing.
    y: 0.0 or 1.0, the place of a class, or a value. weight: of each row, None where all count alike.
    """

    x: Matrix
    y: Matrix
    weight: Matrix | None


@dataclass(frozen=True)
class Question:
    """What `fit` is asked: the features, in the order of the columns, the task, and how many classes it has."""

    features: tuple[Feature, ...]
    task: Task
    classes: int
    parameters: Mapping[str, Any]
    seed: int


class PythonEstimator:
    """What `fit(train, validate, question)` returned, for `predict(state, x)`.

    The state is of numbers, texts, lists, mappings and NumPy arrays, which come back as such: nothing is pickled. The
    text of the functions travels with the package, whose digest covers it, so that what serves is what was fitted.
    """

    def __init__(self, source: str, state: Any) -> None:
        self.source = source
        self.state = state
        self._predict = _function(source, "predict")

    @classmethod
    def fit(cls, task: FitTask) -> Self:
        """Fitted by the function; the state is as it will be read again. Raises DeclarationError for one that is none,
        and for answers that are not the task's.

        A function that takes `report` calls it after each of its steps: `report(step, {"train": loss, "validate":
        loss}, share)`, the share of the fit that is done in 0–1 where it is known. The learning curve is of that, and
        a search may give the fit up by it.
        That the same rows and seed give the same state is the function's own promise.
        """
        question = Question(task.features, task.task, task.classes, task.parameters, task.seed)
        train, validate = (
            Rows(matrix, label, weight)
            for (matrix, label), weight in zip((task.train, task.validate), task.weights, strict=True)
        )
        fit = _function(task.source, "fit")
        told = {"report": _reporting(task)} if "report" in inspect.signature(fit).parameters else {}
        state = fit(train, validate, question, **told)
        fitted = cls(task.source, _read(_written(state, "state")))
        fitted._require_answers(task)
        return fitted

    @classmethod
    def load(cls, package: Path, features: tuple[Feature, ...]) -> Self:
        """As it was saved in `model.py` and `state.json`."""
        try:
            source = (package / _SOURCE).read_text(encoding="utf-8")
        except OSError as error:
            raise PlatformError(
                f"{package} is no model package, but its {_SOURCE} is needed and missing",
                remedy="Fetch the package again or fit the model again",
            ) from error
        return cls(source, _read(read_json(package / _STATE)))

    def save(self, package: Path) -> None:
        """`model.py` holds the functions, `state.json` the state."""
        (package / _SOURCE).write_text(self.source, encoding="utf-8")
        write_json(package / _STATE, _written(self.state, "state"))

    def score(self, matrix: Matrix) -> Matrix:
        """What `predict` says of every row. Raises PlatformError where it says something of another shape."""
        said = np.asarray(self._predict(self.state, matrix), dtype=np.float64)
        if said.ndim not in (1, 2) or len(said) != len(matrix):
            raise PlatformError(
                f"predict gave an array of shape {said.shape} for {len(matrix)} rows, but a row needs its answer",
                allowed="One number a row, or one a row and class",
            )
        return said

    def _require_answers(self, task: FitTask) -> None:
        """Returns where the answers to some rows are such as the task has."""
        some = task.train[0][:_ROWS_TRIED]
        said = self.score(some)
        shape = (len(some), task.classes) if task.task == "multiclass" else (len(some),)
        if said.shape != shape:
            raise DeclarationError(
                f"predict gave an array of shape {said.shape} for {len(some)} rows of a {task.task} task, but an "
                f"answer to them is of shape {shape}",
                allowed="One number a row is, and of several classes one a row and class",
            )
        wrong = ~np.isfinite(said) if task.task == "regression" else ~((said >= 0) & (said <= 1))
        if wrong.any():
            kind = "value" if task.task == "regression" else "probability"
            raise DeclarationError(f"predict gave {said[wrong][0]}, but that is no {kind}", remedy="Mend predict")

    def importance(self) -> Mapping[str, float]:
        """Empty: only its function knows."""
        return {}


def _function(source: str, name: str) -> Callable[..., Any]:
    return function_in(source, name, _SOURCE, f"a Python model is {' and '.join(FUNCTIONS)}")


def _reporting(task: FitTask) -> Callable[..., None]:
    def report(step: int, metrics: Mapping[str, float], share: float = 0.0) -> None:
        if set(metrics) != {"train", "validate"}:
            raise DeclarationError(
                f"report was told {', '.join(map(str, metrics)) or 'nothing'} at step {step}, but a step is told by "
                "the losses on both splits",
                allowed="They are train and validate",
            )
        train, validate = (float(metrics[split]) for split in ("train", "validate"))
        task.progress(f"step {step}: {train:.5f} on train, {validate:.5f} on validate", min(max(share, 0.0), 1.0))
        task.learned(step, train, validate)

    return report


def _written(value: Any, place: str) -> Any:
    """The state as JSON. place: where in it the value stands, for the error."""
    if isinstance(value, (float, np.floating, np.ndarray)) and not _finite(value):
        raise DeclarationError(f"{place} that fit returned is {value}, but a model is finite", remedy="Mend the fit")
    if isinstance(value, np.ndarray):
        return {"__array__": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _written(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(inner, f"{place}[{at}]") for at, inner in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise DeclarationError(
        f"{place} that fit returned is a {type(value).__name__}, but a model is kept as text",
        allowed="Numbers, texts, lists, mappings and NumPy arrays are",
        remedy="Return what predict needs of it, for instance coefficients",
    )


def _finite(value: Any) -> bool:
    numbers = np.asarray(value)
    return numbers.dtype.kind not in "fc" or bool(np.isfinite(numbers).all())


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(inner) for inner in value]
    if isinstance(value, dict):
        if value.keys() == {"__array__", "dtype"}:
            return np.asarray(value["__array__"], dtype=value["dtype"])
        return {key: _read(inner) for key, inner in value.items()}
    return value
