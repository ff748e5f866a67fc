from __future__ import annotations

import pandas as pd
import pytest

from ml_platform.engine.pyfunc import _load_pyfunc
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import PlatformError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.testing import training_set


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    fit(JobOrder(training_set.fit_arguments(training_set.write(tmp_path / "training_set")), {}), folder)
    return folder


@pytest.mark.parametrize("nullable", [False, True])
def test_frame_scores_as_its_columns_do(package, nullable):
    frame = pd.DataFrame(
        {"carrier": ["UA", None, "ZZ"], "hour": [9, 10, 11], "wind": [0.5, None, 1.0], "id": [1, 2, 3]}
    )
    expected = Scorer.load(package).predict(
        {"wind": [0.5, None, 1.0], "hour": [9, 10, 11], "carrier": ["UA", None, None]}
    )
    scores = _load_pyfunc(str(package)).predict(frame.convert_dtypes() if nullable else frame)
    assert scores.tolist() == expected.tolist()


def test_categorical_column_scores_as_its_text(package):
    frame = pd.DataFrame({"carrier": pd.Categorical(["UA", None]), "hour": [9, 9], "wind": [0.5, 0.5]})
    assert len(set(_load_pyfunc(str(package)).predict(frame))) == 2


def test_missing_column_is_an_error_that_names_it(package):
    with pytest.raises(PlatformError, match="feature hour is missing"):
        _load_pyfunc(str(package)).predict(pd.DataFrame({"carrier": ["UA"], "wind": [0.5]}))


def test_classes_are_columns_of_a_frame_on_the_rows_own_index(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    pin = training_set.write(tmp_path / "training_set")
    fit(JobOrder(training_set.fit_arguments(pin, task="multiclass", label="kind"), {}), folder)
    frame = pd.DataFrame({"carrier": ["UA", "AA"], "hour": [9, 10], "wind": [0.5, -2.0]}, index=[7, 8])
    said = _load_pyfunc(str(folder)).predict(frame)
    assert list(said.columns) == ["early", "late", "on time"]
    assert list(said.index) == [7, 8]
    assert said.idxmax(axis=1).tolist() == ["late", "early"]
