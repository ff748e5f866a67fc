from __future__ import annotations

import numpy as np
import pytest

from ml_platform.engine.estimators import ESTIMATORS, estimator_named
from ml_platform.records.metric import METRICS

QUICK = {"gradient_boosting": {"rounds": 20, "num_leaves": 7}}


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_keeps_the_contract_of_every_task(name, kind, task, splits, tmp_path):
    fitted = estimator_named(name).fit(task(name, task=kind, **QUICK.get(name, {})))
    matrix, _ = splits.of["test"]
    scores = fitted.score(np.vstack([matrix, np.full((1, matrix.shape[1]), np.nan)]))
    assert scores.dtype == np.float64
    assert scores.shape == ((len(matrix) + 1, 3) if kind == "multiclass" else (len(matrix) + 1,))
    assert np.isfinite(scores).all()
    if kind != "regression":
        assert ((scores >= 0) & (scores <= 1)).all()
    if kind == "multiclass":
        assert scores.sum(axis=1) == pytest.approx([1.0] * len(scores))

    fitted.save(tmp_path)
    again = estimator_named(name).load(tmp_path, splits.features)
    assert (again.score(matrix) == fitted.score(matrix)).all()
    assert again.importance() == fitted.importance()
    assert not fitted.importance() or sum(fitted.importance().values()) == pytest.approx(1)
