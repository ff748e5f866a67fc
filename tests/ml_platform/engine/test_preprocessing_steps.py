from __future__ import annotations

import numpy as np
import pytest
import sklearn.preprocessing

from ml_platform.engine.package import Feature
from ml_platform.engine.preprocessing_steps import APPLY, FIT, cross_fitted
from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.records.preprocessing import SHAPES, Step

NAN = np.nan
WIND = Feature("wind", "number")
CARRIER = Feature("carrier", "category", ("AA", "DL", "UA"))
NUMBERS = np.array([1.0, 2.0, NAN, 4.0, 100.0])
CODES = np.array([0.0, 0.0, 1.0, 2.0, NAN])
LABEL = np.array([1.0, 0.0, 1.0, 0.0, 1.0])


def done(kind: str, feature: Feature, column: np.ndarray, on: np.ndarray | None = None, **settings: object):
    """The outputs, and what becomes of a column: the one that was fitted on, unless another is given."""
    step = Step(kind, (feature.name,), settings)
    outputs, state = FIT[kind](step, feature, column, LABEL[: len(column)])
    return outputs, [made.tolist() for made in APPLY[kind](state, column if on is None else on)]


def same(made: list[float], wanted: list[float]) -> bool:
    return bool(np.allclose(made, wanted, equal_nan=True))


def test_every_kind_can_be_fitted_and_applied():
    assert FIT.keys() == APPLY.keys() == SHAPES.keys()


def test_clip_keeps_to_bounds_and_quantiles_of_train():
    assert same(done("clip", WIND, NUMBERS, low=2, high=50)[1][0], [2, 2, NAN, 4, 50])
    # the quartiles of 1, 2, 4, 100
    assert same(done("clip", WIND, NUMBERS, low_quantile=0.25)[1][0], [1.75, 2, NAN, 4, 100])


def test_log_is_of_the_distance_from_0_on_both_sides():
    (made,) = done("log", WIND, np.array([-1.0, 0.0, NAN, np.e - 1]))[1]
    assert same(made, [-np.log(2), 0, NAN, 1])


@pytest.mark.parametrize(("by", "value"), [("mean", 26.75), ("median", 3.0), (-1, -1.0)])
def test_missing_number_becomes_what_train_says(by, value):
    outputs, (made, missing) = done("impute", WIND, NUMBERS, on=np.array([NAN, 7.0]), by=by, indicator=True)
    assert [output.name for output in outputs] == ["wind", "wind__missing"]
    assert (made, missing) == ([value, 7.0], [1.0, 0.0])


@pytest.mark.parametrize(
    ("by", "theirs"),
    [
        ("standard", sklearn.preprocessing.StandardScaler()),
        ("robust", sklearn.preprocessing.RobustScaler()),
        ("range", sklearn.preprocessing.MinMaxScaler()),
    ],
)
def test_scaling_is_scikit_learns(by, theirs):
    (made,) = done("scale", WIND, NUMBERS, by=by)[1]
    assert same(made, theirs.fit_transform(NUMBERS[:, None])[:, 0])


def test_constant_is_scaled_to_0():
    assert done("scale", WIND, np.array([3.0, 3.0]), by="standard")[1] == [[0, 0]]


def test_rare_and_unknown_categories_are_one_of_their_own():
    # given two rows of AA and one of each other, then an unknown value, whose code is behind the known ones
    folded = Feature("carrier", "category", CARRIER.values, others=True)
    (output,), (made,) = done("rare", folded, CODES, on=np.array([0.0, 1.0, 3.0, NAN]), min_rows=2)
    assert output.categories == ("AA", "(other)")
    assert same(made, [0, 1, 1, NAN])


def test_one_hot_is_a_number_a_value_and_all_0_for_missing_and_unknown():
    outputs, made = done("one_hot", CARRIER, CODES)
    assert [output.name for output in outputs] == ["carrier=AA", "carrier=DL", "carrier=UA"]
    assert made == [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]


def test_target_is_the_smoothed_mean_label_and_that_of_all_where_nothing_is_known():
    # AA: (1 + 2 · 0.6) / (2 + 2), DL: (1 + 1.2) / 3, UA: (0 + 1.2) / 3
    (made,) = done("target", CARRIER, CODES, smoothing=2)[1]
    assert same(made, [0.55, 0.55, 2.2 / 3, 0.4, 0.6])


def test_target_of_classes_is_scikit_learns_a_share_for_each():
    draw = np.random.default_rng(3)
    codes, label = draw.integers(0, 3, 200).astype(float), draw.integers(0, 4, 200).astype(float)
    names = ["a", "b", "c", "d"]
    step = Step("target", ("carrier",), {"smoothing": 5.0, "classes": names})
    outputs, state = FIT["target"](step, CARRIER, codes, label)
    theirs = sklearn.preprocessing.TargetEncoder(smooth=5.0, target_type="multiclass").fit(codes[:, None], label)
    assert [output.name for output in outputs] == ["carrier=a", "carrier=b", "carrier=c", "carrier=d"]
    made = np.column_stack(APPLY["target"](state, codes))
    assert made == pytest.approx(theirs.transform(codes[:, None]), abs=1e-12)
    # what is unknown is as likely of each as all rows are; and a fifth is told by the other four
    unknown = [column[0] for column in APPLY["target"](state, np.array([NAN]))]
    assert unknown == pytest.approx(np.bincount(label.astype(int)) / 200)
    crossed = np.column_stack(cross_fitted(step, CARRIER, codes, label))
    assert crossed.shape == made.shape
    assert not np.allclose(crossed, made)
    assert crossed.sum(axis=1) == pytest.approx(np.ones(200))


def test_target_of_a_train_row_does_not_hold_its_own_label():
    # given categories of one row each, whose own label would tell everything
    draw = np.random.default_rng(1)
    label = draw.integers(0, 2, 50).astype(float)
    each = Feature("id", "category", tuple(str(number) for number in range(50)))
    step = Step("target", ("id",), {"smoothing": 0.0})
    (made,) = cross_fitted(step, each, np.arange(50.0), label)
    assert abs(np.corrcoef(made, label)[0, 1]) < 0.5
    assert np.isfinite(made).all()


def test_ordinal_is_the_place_in_an_order():
    (made,) = done("ordinal", CARRIER, CODES, order=("UA", "DL", "AA"))[1]
    assert same(made, [2, 2, 1, 0, NAN])
    assert same(done("ordinal", CARRIER, CODES)[1][0], [0, 0, 1, 2, NAN])


def test_order_that_lacks_a_value_is_refused():
    with pytest.raises(DeclarationError, match="carrier in the order AA, DL, but UA is a value of it too"):
        done("ordinal", CARRIER, CODES, order=("AA", "DL"))


def test_number_that_is_missing_everywhere_teaches_nothing():
    with pytest.raises(PlatformError, match="feature wind is missing in every row of split train"):
        done("scale", WIND, np.array([NAN, NAN]), by="standard")
