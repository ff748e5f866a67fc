"""The loader by which MLflow's generic Python flavour opens a model package; it needs no MLflow itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.scorer import Scorer


class PackagedModel:
    """A scorer behind the one method that MLflow calls."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """What the model says of each row, in order: a probability, a value, or a frame with a column per class.

        model_input: a pandas frame with a column per feature; others are ignored. params: not used.
        """
        names = [feature.name for feature in self._scorer.features if feature.name in model_input]
        said = self._scorer.predict({name: _values(model_input[name]) for name in names})
        classes = self._scorer.card.classes
        return type(model_input)(said, columns=list(classes), index=model_input.index) if classes else said


def _load_pyfunc(path: str) -> PackagedModel:
    """The model of the package at `path`; the name is MLflow's."""
    return PackagedModel(Scorer.load(Path(path)))


def _values(series: Any) -> NDArray[np.generic]:
    if series.dtype.kind in "fiub":
        return cast("NDArray[np.generic]", series.to_numpy(dtype=np.float64, na_value=np.nan))
    return cast("NDArray[np.generic]", series.to_numpy(dtype=object, na_value=None))
