from __future__ import annotations

import numpy as np
import pytest

from ml_platform.engine.estimators import ESTIMATORS, estimator_named


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_keeps_the_contract(name, task, splits, tmp_path):
    fitted = estimator_named(name).fit(task(name))
    matrix, _ = splits.of["test"]
    scores = fitted.score(np.vstack([matrix, np.full((1, matrix.shape[1]), np.nan)]))
    assert scores.dtype == np.float64
    assert scores.shape == (len(matrix) + 1,)
    assert ((scores >= 0) & (scores <= 1)).all()

    fitted.save(tmp_path)
    again = estimator_named(name).load(tmp_path, splits.features)
    assert (again.score(matrix) == fitted.score(matrix)).all()
    assert again.importance() == fitted.importance()
    assert not fitted.importance() or sum(fitted.importance().values()) == pytest.approx(1)
