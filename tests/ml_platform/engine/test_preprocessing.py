from __future__ import annotations

import numpy as np
import pytest

from ml_platform.engine.package import Feature
from ml_platform.engine.preprocessing import Preprocessing, asked_for
from ml_platform.errors import DeclarationError
from ml_platform.records.preprocessing import Step

NAN = np.nan
FEATURES = (
    Feature("wind", "number"),
    Feature("carrier", "category", ("AA", "DL")),
    Feature("hour", "number"),
)
MATRIX = np.array([[1.0, 0.0, 5.0], [NAN, 1.0, 6.0], [3.0, NAN, 7.0]])
LABEL = np.array([0.0, 1.0, 0.0])
STEPS = (
    Step("impute", ("wind",), {"by": "mean", "indicator": True}),
    Step("one_hot", ("carrier",)),
    Step("scale", ("hour", "wind"), {"by": "range"}),
    Step("drop", ("wind__missing",)),
)


def test_steps_follow_each_other_and_outputs_stand_where_the_feature_stood():
    fitted, train = Preprocessing.fit(STEPS, FEATURES, (MATRIX, LABEL))
    assert [feature.name for feature in fitted.design] == ["wind", "carrier=AA", "carrier=DL", "hour"]
    assert train.tolist() == [[0, 1, 0, 0], [0.5, 0, 1, 0.5], [1, 0, 0, 1]]


def test_what_is_applied_is_what_train_said_and_not_what_comes():
    fitted, _ = Preprocessing.fit(STEPS, FEATURES, (MATRIX, LABEL))
    assert fitted.apply(np.array([[5.0, NAN, 5.0]])).tolist() == [[2, 0, 0, 0]]


def test_saved_steps_do_the_same(tmp_path):
    fitted, train = Preprocessing.fit(STEPS, FEATURES, (MATRIX, LABEL))
    fitted.save(tmp_path)
    again = Preprocessing.load(tmp_path, FEATURES)
    assert again.design == fitted.design
    assert (again.apply(MATRIX) == train).all()


def test_no_steps_leave_no_file_and_the_matrix_as_it_is(tmp_path):
    fitted, train = Preprocessing.fit((), FEATURES, (MATRIX, LABEL))
    fitted.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Preprocessing.load(tmp_path, FEATURES).apply(MATRIX) is MATRIX
    assert np.array_equal(train, MATRIX, equal_nan=True)


def test_step_of_what_is_not_there_any_more_is_refused():
    steps = (Step("drop", ("wind",)), Step("log", ("wind",)))
    with pytest.raises(DeclarationError, match="log of wind, but there is no such feature at that step"):
        Preprocessing.fit(steps, FEATURES, (MATRIX, LABEL))


def test_step_of_the_wrong_type_is_refused():
    with pytest.raises(DeclarationError, match="log of carrier, but it is a category, and that is of a number"):
        Preprocessing.fit((Step("log", ("carrier",)),), FEATURES, (MATRIX, LABEL))


def test_others_are_asked_for_where_rare_values_are_put_together():
    asked = asked_for(FEATURES, (Step("rare", ("carrier",), {"min_rows": 2}),))
    assert [feature.others for feature in asked] == [False, True, False]
