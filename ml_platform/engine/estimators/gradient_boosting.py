"""The gradient boosting estimator: LightGBM trees, stopped early on the validate split, kept as LightGBM's own text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ml_platform.engine.estimators.contract import FitTask, Matrix
from ml_platform.engine.estimators.one_row import OneRow
from ml_platform.engine.package import Feature
from ml_platform.errors import PlatformError

if TYPE_CHECKING:
    import lightgbm

_FILE = "booster.txt"
_FEW_ROWS = 256
_OURS = ("rounds", "early_stopping_rounds", "early_stopping_min_delta")
_OBJECTIVES: Mapping[str, Mapping[str, str]] = {
    "binary": {"objective": "binary", "metric": "binary_logloss"},
    "multiclass": {"objective": "multiclass", "metric": "multi_logloss"},
    "regression": {"objective": "regression", "metric": "rmse"},
}


class GradientBoostingEstimator:
    """Trees over numbers and coded categories; a missing value takes the branch that training found for it."""

    def __init__(self, booster: lightgbm.Booster, features: tuple[Feature, ...]) -> None:
        self.booster = booster
        self.features = features

    @cached_property
    def _one_row(self) -> OneRow | None:
        try:
            return OneRow(self.booster)
        except AttributeError:
            # Another release may keep its library elsewhere; the booster says the same, and takes longer.
            return None

    @classmethod
    def fit(cls, task: FitTask) -> Self:
        """Boosted until the validate split's loss has not fallen for `early_stopping_rounds`; the best is kept.

        At 0 of them, all rounds are kept.
        """
        lightgbm = _lightgbm()
        train = _dataset(task, task.train)
        validate = _dataset(task, task.validate, reference=train)
        booster = lightgbm.train(
            _settings(task),
            train,
            num_boost_round=int(task.parameters["rounds"]),
            valid_sets=[train, validate],
            valid_names=["train", "validate"],
            callbacks=_callbacks(task),
        )
        best = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
        task.progress(f"{best} rounds kept", 1.0)
        return cls(lightgbm.Booster(model_str=booster.model_to_string(num_iteration=best)), task.features)

    @classmethod
    def load(cls, package: Path, features: tuple[Feature, ...]) -> Self:
        """As it was saved in `booster.txt`."""
        lightgbm = _lightgbm()
        try:
            return cls(lightgbm.Booster(model_str=(package / _FILE).read_text(encoding="utf-8")), features)
        except (OSError, lightgbm.basic.LightGBMError) as error:
            raise PlatformError(
                f"{package / _FILE} is not readable, but must be LightGBM's text ({error})",
                remedy="Fetch the package again or fit the model again",
            ) from error

    def save(self, package: Path) -> None:
        """`booster.txt` holds the trees."""
        (package / _FILE).write_text(self.booster.model_to_string(), encoding="utf-8")

    def score(self, matrix: Matrix) -> Matrix:
        """LightGBM's prediction; a few rows are scored on the calling thread, for starting others would cost more."""
        if len(matrix) == 1 and self._one_row and self._one_row.width == matrix.shape[1]:
            return self._one_row.score(matrix)
        threads = 1 if len(matrix) <= _FEW_ROWS else 0
        # The shape was checked where the matrix was made.
        scores = self.booster.predict(matrix, num_threads=threads, validate_features=False)
        return np.asarray(scores, dtype=np.float64)

    def importance(self) -> Mapping[str, float]:
        """Shares of the total gain."""
        gain = self.booster.feature_importance(importance_type="gain")
        total = float(gain.sum()) or 1.0
        return {feature.name: float(value) / total for feature, value in zip(self.features, gain, strict=True)}


def _lightgbm() -> Any:
    try:
        import lightgbm
    except OSError as error:
        # The wheel leaves OpenMP to the system; our jobs and servers are started with another copy where it has none.
        raise PlatformError(
            f"LightGBM is installed, but its native library does not load ({error})",
            remedy="Install the OpenMP runtime: `apt-get install libgomp1` on Debian, `brew install libomp` on macOS",
        ) from error
    return lightgbm


def _dataset(task: FitTask, split: tuple[Matrix, Matrix], reference: Any = None) -> Any:
    return _lightgbm().Dataset(
        split[0],
        label=split[1],
        weight=task.weights[0 if reference is None else 1],
        reference=reference,
        # LightGBM's text has no way to quote; names are ours to keep, in model.json.
        feature_name=[f"f{position}" for position in range(len(task.features))],
        categorical_feature=[i for i, feature in enumerate(task.features) if feature.type == "category"],
        params=_settings(task),
    )


def _settings(task: FitTask) -> dict[str, Any]:
    return {
        **{name: value for name, value in task.parameters.items() if name not in _OURS},
        **_OBJECTIVES[task.task],
        **({"num_class": task.classes} if task.classes else {}),
        "seed": task.seed,
        "num_threads": task.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _callbacks(task: FitTask) -> list[Callable[[Any], None]]:
    rounds = int(task.parameters["early_stopping_rounds"])
    if not rounds:
        return [_reporter(task)]
    delta = float(task.parameters["early_stopping_min_delta"])
    # The reporter comes first, for stopping ends the round by an exception.
    return [_reporter(task), _lightgbm().early_stopping(rounds, verbose=False, min_delta=delta)]


def _reporter(task: FitTask) -> Callable[[Any], None]:
    rounds = int(task.parameters["rounds"])
    best = [float("inf"), 0]

    def report(state: Any) -> None:
        done = state.iteration + 1
        train, validate = (float(result[2]) for result in state.evaluation_result_list[:2])
        if validate < best[0]:
            best[:] = validate, state.iteration
        task.learned(done, train, validate)
        if done % 25 == 0:
            task.progress(f"round {done} of at most {rounds}, validate loss {validate:.5f}", done / rounds)
        if task.over():
            raise _lightgbm().callback.EarlyStopException(best[1], state.evaluation_result_list)

    return report
