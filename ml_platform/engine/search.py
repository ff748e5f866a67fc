"""The search: many fits within a budget, of which the best on the validate split is kept; a killed one goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_platform.engine.estimators.parameters import PARAMETERS, completed
from ml_platform.engine.evaluation import evaluate
from ml_platform.engine.evidence import Curve
from ml_platform.engine.journal import study_in
from ml_platform.engine.learning import Learning
from ml_platform.engine.scorer import Fitted
from ml_platform.errors import PlatformError
from ml_platform.records.metric import HIGHER_IS_BETTER, Metric

_ESTIMATOR = "estimator"
_SECONDS = "seconds"
_ENDED_AT = "ended_at"
# Rounds of boosting; what is written in Python reports as seldom as it likes, and is looked at each time.
_PRUNED_EVERY = 10
_NOT_BEFORE = 20
# What is searched where nothing is said: the parameters that matter most, and never far from what is usual.
AUTOML: Mapping[str, Mapping[str, Any]] = {
    "linear": {"C": {"low": 0.001, "high": 100.0, "log": True}},
    "gradient_boosting": {
        "learning_rate": {"low": 0.02, "high": 0.3, "log": True},
        "num_leaves": {"low": 7, "high": 255, "log": True},
        "min_data_in_leaf": {"low": 10, "high": 500, "log": True},
        "feature_fraction": {"low": 0.4, "high": 1.0},
        "bagging_fraction": {"low": 0.5, "high": 1.0},
        "lambda_l2": {"low": 0.001, "high": 100.0, "log": True},
    },
}
# Their fits end when the time is up; any other is begun only if the longest of its kind so far would come to an end,
# and the first of its kind only in the first half of the time.
_INTERRUPTED = ("gradient_boosting",)


@dataclass(frozen=True)
class Limits:
    """How far a search goes. trials: fits that come to an end; seconds: in all runs together; None for no such limit.

    metric: on the validate split. pruning: whether a fit is given up that stands worse than most did at that round.
    """

    trials: int | None
    seconds: float | None
    metric: Metric
    pruning: bool = False


@dataclass(frozen=True)
class Found:
    """The best of what was tried, and everything that was, in order."""

    estimator: str
    parameters: Mapping[str, Any]
    model: Fitted
    curve: Curve
    trials: Sequence[Mapping[str, Any]]


@dataclass
class Search:
    """One search.

    spaces: estimator → parameter → {low, high, log} or a list of values. fixed: parameters that stay as they are.
    state: the folder in which a search that was killed is found again; None where there is none to keep it in.
    say: told of every trial, with the share of the budget that is spent.
    """

    learning: Learning
    spaces: Mapping[str, Mapping[str, Any]]
    fixed: Mapping[str, Any]
    limits: Limits
    state: Path | None
    say: Callable[[str, float], None]
    now: Callable[[], float] = time.monotonic
    _kept: dict[int, tuple[Fitted, Curve]] = field(default_factory=dict)

    def run(self) -> Found:
        """The best that was found within the limits. Raises PlatformError where no fit has come to an end.

        By trials alone it is repeatable, whether it was killed or not: what is tried follows from what was tried.
        """
        self._began = self.now()
        boosts = any(name in _INTERRUPTED for name in self.spaces)
        maximize, warm_up = HIGHER_IS_BETTER[self.limits.metric], _NOT_BEFORE if boosts else 0
        self._study = study_in(self.state, maximize=maximize, prunes=self.limits.pruning, warm_up=warm_up)
        self._before = sum(trial.user_attrs.get(_SECONDS, 0.0) for trial in self._study.trials)
        while self._left() > 0:
            self._attempt()
        return self._best()

    def _left(self) -> float:
        """The share of the budget that is left, in 0–1."""
        limits, shares = self.limits, [1.0]
        if limits.trials is not None:
            shares.append(1 - self._study.finished / limits.trials)
        if limits.seconds is not None:
            shares.append(1 - self._spent() / limits.seconds)
        return max(0.0, min(shares))

    def _spent(self) -> float:
        return float(self._before + self.now() - self._began)

    def _over(self) -> bool:
        return self.limits.seconds is not None and self._spent() >= self.limits.seconds

    def _attempt(self) -> None:
        began = self.now()
        trial = self._study.ask(self.learning.seed, self._start())
        estimator, parameters = self._drawn(trial)
        curve = Curve("round")
        learned = self._pruning(estimator, trial, curve)
        try:
            model = self.learning.fitted(estimator, parameters, learned=learned, over=self._over)
        except self._study.pruned:
            self._tell(trial, began, None, f"{estimator} is given up")
            return
        matrix, label = self.learning.validate
        value = evaluate(self.learning.task, label, model.score(matrix))[self.limits.metric]
        value = value if math.isfinite(value) else math.nan
        told = "does not count" if math.isnan(value) else f"{self.limits.metric} {value:.5f}"
        self._tell(trial, began, value, f"{estimator}, {told}", self._ended_at(estimator, curve))
        if self._study.best_number == trial.number:
            self._kept = {trial.number: (model, curve)}

    def _start(self) -> Mapping[str, Any] | None:
        """What is tried first: every estimator with its defaults; and what alone still fits into the time."""
        number, names = self._study.finished, list(self.spaces)
        able = [name for name in names if self._in_time(name)]
        if number < len(names) and names[number] in able:
            return {_ESTIMATOR: names[number], **self._defaults(names[number])}
        return {_ESTIMATOR: able[0]} if len(able) == 1 < len(names) else None

    def _in_time(self, estimator: str) -> bool:
        """Whether a fit that is begun now is likely to end in time."""
        if self.limits.seconds is None or estimator in _INTERRUPTED:
            return True
        longest = self._study.longest(_SECONDS, _ESTIMATOR).get(estimator, self.limits.seconds / 2)
        return longest < self.limits.seconds - self._spent()

    def _defaults(self, estimator: str) -> dict[str, Any]:
        """The defaults that lie in the space, by the names that trials have them under."""
        found: dict[str, Any] = {}
        for name, space in self.spaces[estimator].items() if estimator in PARAMETERS else ():
            default = PARAMETERS[estimator][name].default
            inside = default in space if isinstance(space, list) else space["low"] <= default <= space["high"]
            found |= {f"{estimator}.{name}": default} if inside else {}
        return found

    def _drawn(self, trial: Any) -> tuple[str, dict[str, Any]]:
        estimator = trial.suggest_categorical(_ESTIMATOR, list(self.spaces))
        drawn = {}
        for name, space in self.spaces[estimator].items():
            drawn[name] = _suggested(trial, f"{estimator}.{name}", space, _whole(estimator, name, space))
        return estimator, completed(estimator, {**self.fixed, **drawn})

    def _pruning(self, estimator: str, trial: Any, curve: Curve) -> Callable[[int, float, float], None]:
        every = _PRUNED_EVERY if estimator in _INTERRUPTED else 1

        def learned(step: int, train: float, validate: float) -> None:
            curve.add(step, train, validate)
            if self.limits.pruning and step % every == 0:
                self._study.check(trial, step, validate)

        return learned

    def _ended_at(self, estimator: str, curve: Curve) -> dict[str, Any]:
        """The parameters by which a fit that the clock has ended is what it was when it is fitted again."""
        if not curve.steps or not self._over() or estimator not in _INTERRUPTED:
            return {}
        best = curve.steps[curve.validate.index(min(curve.validate))]
        return {"rounds": best, "early_stopping_rounds": 0}

    def _tell(
        self, trial: Any, began: float, value: float | None, text: str, ended_at: Mapping[str, Any] | None = None
    ) -> None:
        self._study.tell(trial, value, {_SECONDS: self.now() - began, _ENDED_AT: dict(ended_at or {})})
        self.say(f"trial {self._study.finished}: {text}", 1 - self._left())

    def _best(self) -> Found:
        number = self._study.best_number
        if number is None:
            raise PlatformError(
                "the search has tried nothing that came to an end, but the best of what was tried is to be kept",
                remedy="Give it more trials or seconds",
            )
        best = self._study.trials[number]
        estimator = best.params[_ESTIMATOR]
        drawn = {name.partition(".")[2]: value for name, value in best.params.items() if name != _ESTIMATOR}
        parameters = completed(estimator, {**self.fixed, **drawn, **best.user_attrs[_ENDED_AT]})
        if number not in self._kept:
            curve = Curve("round")
            self._kept = {number: (self.learning.fitted(estimator, parameters, learned=curve.add), curve)}
        return Found(estimator, parameters, *self._kept[number], self._study.table(_ESTIMATOR))


def _whole(estimator: str, name: str, space: Any) -> bool:
    """Whether only whole numbers are tried; of a Python model, where both bounds are whole."""
    if estimator in PARAMETERS:
        return PARAMETERS[estimator][name].whole
    return not isinstance(space, list) and all(isinstance(space[side], int) for side in ("low", "high"))


def _suggested(trial: Any, name: str, space: Any, whole: bool) -> Any:
    if isinstance(space, list):
        return trial.suggest_categorical(name, space)
    suggest = trial.suggest_int if whole else trial.suggest_float
    return suggest(name, space["low"], space["high"], log=space.get("log", False))
