"""The gradient boosting estimator: LightGBM trees, stopped early on the validate split, kept as LightGBM's own text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.estimators.contract import FitTask, Matrix, Parameters
from ml_platform.engine.package import Feature
from ml_platform.errors import PlatformError

if TYPE_CHECKING:
    import lightgbm

_FILE = "booster.txt"
_FEW_ROWS = 256


class GradientBoostingEstimator:
    """Trees over numbers and coded categories; a missing value takes the branch that training found for it."""

    # For log loss on hundreds of thousands of rows; categories are smoothed hard, or rare ones are learned by heart.
    defaults: ClassVar[Parameters] = {
        "rounds": 400,
        "early_stopping_rounds": 30,
        "learning_rate": 0.08,
        "num_leaves": 63,
        "max_depth": -1,
        "max_bin": 255,
        "min_data_in_leaf": 200,
        "min_sum_hessian_in_leaf": 1e-3,
        "min_gain_to_split": 0.0,
        "feature_fraction": 0.8,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l1": 0.0,
        "lambda_l2": 1.0,
        "path_smooth": 0.0,
        "cat_smooth": 50.0,
        "cat_l2": 30.0,
        "max_cat_threshold": 32,
        "min_data_per_group": 100,
    }

    def __init__(self, booster: lightgbm.Booster, features: tuple[Feature, ...]) -> None:
        self.booster = booster
        self.features = features

    @classmethod
    def fit(cls, task: FitTask) -> Self:
        """Boosted until the validate split's log loss has not fallen for `early_stopping_rounds`; the best is kept."""
        lightgbm = _lightgbm()
        train = _dataset(task, task.train)
        validate = _dataset(task, task.validate, reference=train)
        rounds = int(task.parameters["rounds"])
        stop = lightgbm.early_stopping(int(task.parameters["early_stopping_rounds"]), verbose=False)
        booster = lightgbm.train(
            _settings(task),
            train,
            num_boost_round=rounds,
            valid_sets=[validate],
            valid_names=["validate"],
            callbacks=[stop, _reporter(task.progress, rounds)],
        )
        best = booster.best_iteration
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

    def score(self, matrix: Matrix) -> NDArray[np.float64]:
        """LightGBM's probability; a few rows are scored on the calling thread, whose start would cost more."""
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
        reference=reference,
        # LightGBM's text has no way to quote; names are ours to keep, in model.json.
        feature_name=[f"f{position}" for position in range(len(task.features))],
        categorical_feature=[i for i, feature in enumerate(task.features) if feature.type == "category"],
        params=_settings(task),
    )


def _settings(task: FitTask) -> dict[str, Any]:
    ours = ("rounds", "early_stopping_rounds")
    return {
        **{name: value for name, value in task.parameters.items() if name not in ours},
        "objective": "binary",
        "metric": "binary_logloss",
        "seed": task.seed,
        "num_threads": task.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _reporter(progress: Callable[[str, float], None], rounds: int) -> Callable[[Any], None]:
    def report(state: Any) -> None:
        done = state.iteration + 1
        if done % 25 == 0:
            loss = state.evaluation_result_list[0][2]
            progress(f"round {done} of at most {rounds}, validate log loss {loss:.5f}", done / rounds)

    return report
