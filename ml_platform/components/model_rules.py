"""What a model's declaration has to keep beyond its types, checked when definitions load, by file and line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import ValidationError

from ml_platform.components import python_model
from ml_platform.components.gate_rules import gate_faults
from ml_platform.components.lines import line_of
from ml_platform.components.preprocessing import PreprocessingStep
from ml_platform.components.tuning import SearchRange, Tune
from ml_platform.engine.estimators.parameters import PARAMETERS, completed
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.metric import METRICS
from ml_platform.records.model import FeatureType
from ml_platform.records.preprocessing import SHAPES, Step

if TYPE_CHECKING:
    from ml_platform.components.model import Model

SIDES = ("negative", "positive")
_TUNABLE = ("linear", "gradient_boosting", "python")


@dataclass(frozen=True)
class ModelRules:
    """A model's declaration, where it stands, and what its training set has.

    features: name → type. columns: of the training set's table.
    """

    model: Model
    context: dg.ComponentLoadContext
    features: Mapping[str, FeatureType]
    columns: Sequence[str]

    def require(self) -> None:
        """Returns where every rule is kept; else raises DeclarationError for the first that is not."""
        self._require_parameters()
        self._require_metrics()
        self._require_of_task()
        self._require_search()
        for path, fault, allowed in gate_faults(self.model, self.columns):
            self._fail(path, fault, allowed)
        for position, column in enumerate(self.model.slices):
            if column not in self.columns:
                self._fail(
                    ("slices", position),
                    f"slices has {column!r}, but the training set has no such column",
                    nearest(column, self.columns),
                )
        self.steps()

    def steps(self) -> tuple[Step, ...]:
        """The steps of the pre-processing, each of features that are there at its turn, and of their types."""
        standing: dict[str, FeatureType] = dict(self.features)
        found = []
        for position, written in enumerate(self.model.preprocessing):
            step = self._step(position, written)
            for name in step.features:
                self._require_feature(position, step, name, standing)
                # Of classes, a target leaves a share for each, under names of their own.
                own = step.kind == "target" and self.model.task == "multiclass"
                gives = None if own else SHAPES[step.kind].gives
                if gives is None:
                    del standing[name]
                else:
                    standing[name] = gives
            found.append(step)
        return tuple(found)

    def source(self) -> str:
        """The text of a Python model; empty for every other. Raises DeclarationError where its functions are absent."""
        if self.model.estimator != "python":
            return ""
        path = self.context.path / f"{self.context.path.name}.py"
        if not path.exists():
            self._fail(("estimator",), f"estimator is python, but there is no {path.name} beside it", "", "Write it")
        text = path.read_text(encoding="utf-8")
        if fault := python_model.fault_in(text, self.context):
            self._fail(("estimator",), f"estimator is python, but {fault}", python_model.CONTRACT)
        return text

    def _require_parameters(self) -> None:
        model = self.model
        if model.estimator == "automl" and model.parameters:
            self._fail(("parameters",), "parameters is given, but automl finds them by itself", "", "Remove it")
        for name, value in model.parameters.items():
            self._require_value(("parameters", name), name, value)
        if model.early_stopping is None:
            return
        if model.estimator not in ("gradient_boosting",):
            self._fail(
                ("early_stopping",),
                f"early_stopping is given, but {model.estimator} does not learn in rounds",
                "gradient_boosting does",
            )
        twice = [name for name in model.parameters if name.startswith("early_stopping")]
        if twice:
            self._fail(("parameters", twice[0]), f"{twice[0]} is given, but early_stopping says it already")

    def _require_metrics(self) -> None:
        task, gate = self.model.task, self.model.gate
        named: list[tuple[tuple[str | int, ...], str | None]] = [
            (("gate", "metric"), gate.metric),
            *((("gate", "floors", name), name) for name in gate.floors),
            *((("metrics", at), name) for at, name in enumerate(self.model.metrics)),
            *((key, budget.metric) for key, budget in self._budgets()),
        ]
        for path, name in named:
            if name is not None and name not in METRICS[task]:
                self._fail(
                    path,
                    f"{'.'.join(str(part) for part in path if part != name)} has {name}, but no {task} task is "
                    "measured by it",
                    f"Metrics of it are {', '.join(METRICS[task])}",
                )

    def _require_of_task(self) -> None:
        model, weights = self.model, self.model.class_weights
        if model.task == "regression" and model.calibration != "none":
            self._fail(("calibration",), f"calibration is {model.calibration}, but a regression has no probabilities")
        if model.task == "regression" and weights:
            self._fail(("class_weights",), "class_weights is given, but a regression has no classes")
        if isinstance(weights, str):
            return
        for name, weight in weights.items():
            if model.task == "binary" and name not in SIDES:
                self._fail(
                    ("class_weights", name),
                    f"class_weights weighs {name}, but a binary task has two sides",
                    f"They are {' and '.join(SIDES)}",
                )
            if not weight > 0:
                self._fail(("class_weights", name), f"class_weights.{name} is {weight}, but it is greater than 0")

    def _budgets(self) -> list[tuple[tuple[str | int, ...], Any]]:
        pairs = (("tune", self.model.tune), ("automl", self.model.automl))
        return [((name, "metric"), budget) for name, budget in pairs if budget is not None]

    def _require_search(self) -> None:
        model = self.model
        if (model.estimator == "automl") != (model.automl is not None):
            self._fail(
                ("estimator",) if model.automl is None else ("automl",),
                "estimator automl and the budget automl go together, but only one of them is given",
                "For instance automl: {seconds: 60}",
            )
        for name, budget in (("tune", model.tune), ("automl", model.automl)):
            if budget is not None and budget.trials is None and budget.seconds is None:
                self._fail((name,), f"{name} has no end, but a search has one", "Give trials, seconds or both")
        if model.tune is None:
            return
        if model.estimator not in _TUNABLE:
            self._fail(("tune",), f"tune is given, but {model.estimator} is not tuned", f"{', '.join(_TUNABLE)} are")
        self._require_report(model.tune)
        if not model.tune.space:
            self._fail(("tune", "space"), "tune.space is empty, but something has to be tried")
        for name, written in model.tune.space.items():
            self._require_range(name, written)

    def _require_range(self, name: str, written: Any) -> None:
        path, known = ("tune", "space", name), PARAMETERS.get(self.model.estimator)
        if known is not None and name not in known:
            self._fail(
                path, f"tune.space has {name}, but {self.model.estimator} has none of that name", nearest(name, known)
            )
        if name in self.model.parameters:
            self._fail(path, f"tune.space has {name}, but parameters says it already", "", "Remove one of them")
        values = written if isinstance(written, list) else self._bounds(path, written)
        if not values:
            self._fail(path, f"tune.space.{name} is empty, but something has to be tried")
        for value in values:
            self._require_value(path, name, value)

    def _require_report(self, tune: Tune) -> None:
        """Returns where a Python model whose fits may be given up says how they stand."""
        if self.model.estimator != "python" or not tune.pruning:
            return
        if not python_model.reports(self.source()):
            self._fail(
                ("tune", "pruning"),
                f"tune.pruning is true, but fit in {self.context.path.name}.py does not take report, by which it would "
                "say how it stands",
                "fit(train, validate, question, report) calls report(step, {'train': loss, 'validate': loss})",
            )

    def _bounds(self, path: tuple[str | int, ...], written: Any) -> list[Any]:
        name = path[-1]
        try:
            found = SearchRange.model_validate(written)
        except ValidationError as error:
            self._fail(
                path,
                f"tune.space.{name} is {written!r}, but that cannot be: {error.errors()[0]['msg']}",
                "It is {low, high, log} or a list of values",
            )
        if not found.low < found.high or (found.log and found.low <= 0):
            why = "a logarithm is of what is greater than 0" if found.low < found.high else "low is less than high"
            self._fail(path, f"tune.space.{name} goes from {found.low:g} to {found.high:g}, but {why}")
        return [found.low, found.high]

    def _step(self, position: int, written: Mapping[str, Any]) -> Step:
        path = ("preprocessing", position)
        try:
            found = PreprocessingStep.model_validate(dict(written))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
            known = PreprocessingStep.model_fields if len(first["loc"]) == 1 else ()
            self._fail(path, f"preprocessing has {where}, but that cannot be: {first['msg']}", nearest(where, known))
        if len(found.kinds) != 1:
            said = f"of the kinds {', '.join(found.kinds)}" if found.kinds else "of no kind"
            self._fail(
                path, f"a step of preprocessing is {said}, but it is of exactly one", f"Kinds are {', '.join(SHAPES)}"
            )
        return found.step

    def _require_feature(self, position: int, step: Step, name: str, standing: Mapping[str, FeatureType]) -> None:
        path = ("preprocessing", position)
        if name not in standing:
            self._fail(
                path,
                f"preprocessing has {step.kind} of {name}, but there is no such feature then",
                nearest(name, standing),
            )
        takes = SHAPES[step.kind].takes
        if standing[name] not in takes:
            self._fail(
                path,
                f"preprocessing has {step.kind} of {name}, but that is a {standing[name]}",
                f"{step.kind} is of a {takes[0]}",
            )
        settings = step.settings
        if step.kind == "clip" and not settings:
            self._fail(path, f"preprocessing clips {name}, but at no bound", "Give low, high or their quantiles")

    def _require_value(self, path: tuple[str | int, ...], name: str, value: Any) -> None:
        """Returns where the estimator can have the parameter at that value."""
        try:
            completed(self.model.estimator, {name: value})
        except DeclarationError as error:
            raise DeclarationError(f"{line_of(self.context, *path)}: {error}") from error

    def _fail(self, path: tuple[str | int, ...], fault: str, allowed: str = "", remedy: str = "") -> Any:
        raise DeclarationError(f"{line_of(self.context, *path)}: {fault}", allowed=allowed, remedy=remedy)
