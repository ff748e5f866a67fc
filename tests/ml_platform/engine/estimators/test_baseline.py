from __future__ import annotations

import pytest

from ml_platform.engine.estimators.baseline import BaselineEstimator
from ml_platform.errors import PlatformError


def test_baseline_says_the_training_rate_of_every_row(task, splits, tmp_path):
    fitted = BaselineEstimator.fit(task("baseline"))
    matrix, _ = splits.of["test"]
    rate = splits.of["train"][1].sum() / 3000
    assert fitted.score(matrix) == pytest.approx([rate] * 1000)
    assert fitted.importance() == {}
    fitted.save(tmp_path)
    assert BaselineEstimator.load(tmp_path, ()).rate == fitted.rate


def test_missing_rate_is_an_error(tmp_path):
    with pytest.raises(PlatformError, match=r"rate\.json is needed and missing"):
        BaselineEstimator.load(tmp_path, ())
