from __future__ import annotations

import doctest
from decimal import Decimal

import numpy as np
import pytest

from ml_platform.engine import encoding
from ml_platform.engine.encoding import Encoding
from ml_platform.engine.package import Feature
from ml_platform.errors import PlatformError

ENCODING = Encoding((Feature("wind", "number"), Feature("carrier", "category", ("AA", "UA"))))


def test_worked_values_of_the_docstrings_hold():
    assert doctest.testmod(encoding) == (0, 1)


def test_numbers_stay_and_categories_become_their_position():
    matrix = ENCODING.matrix({"carrier": ["UA", "AA"], "wind": [1, 2.5], "more": ["x", "y"]})
    assert matrix.tolist() == [[1.0, 1.0], [2.5, 0.0]]
    assert matrix.dtype == np.float64


def test_unknown_categories_are_of_the_others_where_there_are_others():
    carrier = Feature("carrier", "category", ("5", "UA"), others=True)
    matrix = Encoding((carrier,)).matrix({"carrier": ["UA", "ZZ", None, float("nan"), 5.0]})
    assert np.array_equal(matrix[:, 0], [1, 2, np.nan, np.nan, 0], equal_nan=True)


@pytest.mark.parametrize("array", [list, np.array])
def test_a_request_is_encoded_as_a_table_is(array):
    wind, carrier = [0.1 * row for row in range(1000)], ["AA", "UA", "ZZ", None] * 250
    table = ENCODING.matrix({"wind": array(wind), "carrier": carrier})
    for rows in (1, 2, 16, 17):
        few = ENCODING.matrix({"wind": array(wind[:rows]), "carrier": carrier[:rows]})
        assert few.tobytes() == table[:rows].tobytes()
        assert few.flags.c_contiguous
    assert ENCODING.matrix({"wind": array([]), "carrier": []}).shape == (0, 2)


def test_missing_and_unknown_values_are_nan():
    matrix = ENCODING.matrix({"wind": [None, float("nan"), 1.0], "carrier": [None, "ZZ", float("nan")]})
    assert np.isnan(matrix).tolist() == [[True, True], [True, True], [False, True]]


@pytest.mark.parametrize("column", [np.array([1, 2]), np.array([1.0, 2.0], dtype=np.float32), [Decimal(1), np.int8(2)]])
def test_every_kind_of_number_is_a_number(column):
    assert Encoding((Feature("wind", "number"),)).matrix({"wind": column}).tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize("column", [["1.5", 2.0], np.array(["1.5", 2.0], dtype=object), np.array(["1.5", "2"])])
def test_text_in_a_number_is_an_error_that_names_the_feature(column):
    with pytest.raises(PlatformError, match=r"feature wind is .*'1\.5'.*, but it is a number"):
        ENCODING.matrix({"wind": column, "carrier": ["UA", "UA"]})


def test_missing_feature_is_named():
    with pytest.raises(
        PlatformError, match=r"feature carrier is missing, but the model needs it\. Did you mean carier"
    ):
        ENCODING.matrix({"wind": [1.0], "carier": ["UA"]})


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(PlatformError, match="must have the same number of rows"):
        ENCODING.matrix({"wind": [1.0, 2.0], "carrier": ["UA"]})


def test_whole_number_as_category_is_known_however_it_comes():
    zone = Encoding((Feature("zone", "category", ("4", "5")),))
    assert zone.matrix({"zone": [5, 5.0, np.int64(5), np.float64(5.0), "5"]}).ravel().tolist() == [1.0] * 5
