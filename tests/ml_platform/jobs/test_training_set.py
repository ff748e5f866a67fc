from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.jobs.training_set import TrainingRequest, read_lesson
from ml_platform.records.preprocessing import Step
from ml_platform.testing import training_set


@pytest.fixture
def read(tmp_path):
    def reader(table: pa.Table, **changes):
        pin = training_set.write(tmp_path / "table", table)
        request = {"features": training_set.FEATURES, "label": "late", "split_column": "split", **changes}
        return read_lesson(TrainingRequest(**pin, **request))

    return reader


@pytest.fixture
def rows() -> pa.Table:
    return training_set.rows()


def changed(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def test_splits_hold_their_rows_in_the_tables_order(read, rows):
    lesson = read(rows)
    features, splits = lesson.features, lesson.splits
    assert {name: len(split.label) for name, split in splits.items()} == training_set.SPLIT_ROWS
    wind = rows.column("wind").to_numpy()
    assert np.array_equal(splits["test"].matrix[:, 0], wind[4000:], equal_nan=True)
    assert [feature.name for feature in features] == ["wind", "hour", "carrier"]


def test_categories_are_those_of_the_train_split_only(read, rows):
    only_later = pc.if_else(pc.equal(rows.column("split"), "test"), "ZZ", rows.column("carrier"))
    lesson = read(changed(rows, "carrier", only_later))
    assert lesson.features[2].values == ("AA", "DL", "UA")
    assert np.isnan(lesson.splits["test"].matrix[:, 2]).all()


def test_unknown_categories_are_the_others_where_rare_ones_are_put_together(read, rows):
    only_later = pc.if_else(pc.equal(rows.column("split"), "test"), "ZZ", rows.column("carrier"))
    lesson = read(changed(rows, "carrier", only_later), steps=(Step("rare", ("carrier",), {"min_rows": 10}),))
    assert lesson.features[2].categories == ("AA", "DL", "UA", "(other)")
    assert set(lesson.splits["test"].matrix[:, 2]) == {3.0}


def test_columns_of_slices_come_along_as_they_are(read, rows):
    lesson = read(rows, slices=("kind", "hour"))
    assert lesson.splits["test"].slices["kind"].to_pylist() == rows.column("kind").to_pylist()[4000:]


@pytest.mark.parametrize("split", ["train", "validate", "test"])
def test_empty_split_is_an_error_that_names_it(read, rows, split):
    with pytest.raises(PlatformError, match=f"split {split} of .* is empty"):
        read(rows.filter(pc.not_equal(rows.column("split"), split)))


def test_unknown_split_is_an_error(read, rows):
    with pytest.raises(PlatformError, match="column split holds None, holdout, but"):
        read(changed(rows, "split", pa.array(["holdout", None] + ["train"] * (len(rows) - 2))))


def test_constant_label_is_an_error_that_names_value_and_split(read, rows):
    label = pc.if_else(pc.equal(rows.column("split"), "validate"), True, rows.column("late"))
    with pytest.raises(PlatformError, match="label late is 1 in every row of split validate"):
        read(changed(rows, "late", label))


@pytest.mark.parametrize("value", [None, 2])
def test_label_that_is_missing_or_neither_is_an_error(read, rows, value):
    label = pa.array([value, *([0, 1] * len(rows))[: len(rows) - 1]])
    with pytest.raises(PlatformError, match="label late is missing or neither 0 nor 1 in split train"):
        read(changed(rows, "late", label))


def test_missing_column_is_an_error_with_the_nearest(read, rows):
    with pytest.raises(PlatformError, match=r"column wind is missing from .* at version 0.* Did you mean winds\?"):
        read(rows.rename_columns({"wind": "winds"}))


def test_infinite_number_is_an_error(read, rows):
    wind = np.where(np.arange(len(rows)) == 3500, np.inf, 1.0)
    with pytest.raises(PlatformError, match="feature wind is infinite somewhere in split validate"):
        read(changed(rows, "wind", pa.array(wind)))


def test_label_among_the_features_is_refused(read, rows):
    with pytest.raises(DeclarationError, match="then the answer would leak"):
        read(rows, features={"late": "number"})


def test_features_that_say_nothing_are_refused(read, rows):
    with pytest.raises(DeclarationError, match="features is empty"):
        read(rows, features={})
    with pytest.raises(DeclarationError, match="feature wind is a numeric, but"):
        read(rows, features={"wind": "numeric"})
