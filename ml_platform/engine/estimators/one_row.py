"""One row through LightGBM: the call of its C API that is made for it, as a server asks for one row after another.

`Booster.predict` reads its settings and makes a predictor anew for each call, which costs a row more than its trees do.
https://lightgbm.readthedocs.io/en/stable/C-API.html, `LGBM_BoosterPredictForMatSingleRowFast`, keeps both.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_platform.engine.estimators.contract import Matrix

if TYPE_CHECKING:
    import lightgbm

_NORMAL, _FLOAT64, _EVERY_TREE = 0, 1, -1
_SETTINGS = b"num_threads=1"


class OneRow:
    """What a booster says of one row, to the last digit as `Booster.predict` says it, from any thread.

    width: columns of the row. Raises AttributeError where this release of LightGBM keeps its library elsewhere.
    """

    def __init__(self, booster: lightgbm.Booster) -> None:
        from lightgbm import basic

        self._library, self._check = basic._LIB, basic._safe_call
        self._kept, self._booster = ctypes.c_void_p(), booster
        self.width = booster.num_feature()
        self._outputs = booster.num_model_per_iteration()
        self._check(
            self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle, _NORMAL, 0, _EVERY_TREE, _FLOAT64, self.width, _SETTINGS, ctypes.byref(self._kept)
            )
        )
        # Not at the exit of the process, when the booster may be gone before it.
        weakref.finalize(self, self._library.LGBM_FastConfigFree, self._kept).atexit = False

    def score(self, row: Matrix) -> Matrix:
        """As `Estimator.score`, of a matrix of one row and `width` columns. Raises LightGBM's own error."""
        row = np.ascontiguousarray(row, dtype=np.float64)
        found = np.empty(self._outputs)
        count = ctypes.c_int64()
        self._check(
            self._library.LGBM_BoosterPredictForMatSingleRowFast(
                self._kept, _address(row), ctypes.byref(count), _address(found)
            )
        )
        return found if self._outputs == 1 else found.reshape(1, -1)


def _address(array: Matrix) -> Any:
    return ctypes.c_void_p(array.ctypes.data)
