from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ml_platform.errors import PlatformError
from ml_platform.jobs.labels import read_labels

SPLITS = ("train", "validate", "test")


def parts(**values: list[Any]) -> dict[str, pa.Table]:
    return {split: pa.table({"kind": values[split]}) for split in SPLITS}


def test_classes_are_those_of_train_in_order_and_labels_their_places():
    rows = parts(train=["tree", "bush", "herb"], validate=["herb", "tree"], test=["bush", "tree"])
    classes, labels = read_labels("multiclass", "kind", rows)
    assert classes == ("bush", "herb", "tree")
    assert {split: label.tolist() for split, label in labels.items()} == {
        "train": [2, 0, 1],
        "validate": [1, 2],
        "test": [0, 2],
    }


def test_classes_may_be_whole_numbers():
    classes, _ = read_labels("multiclass", "kind", parts(train=[3, 1], validate=[1, 3], test=[3, 1]))
    assert classes == ("1", "3")


def test_class_that_train_does_not_have_is_refused_with_its_rows():
    rows = parts(train=["tree", "bush"], validate=["bush", "tree"], test=["tree", "herb", "herb"])
    with pytest.raises(PlatformError, match=r"label kind is 'herb' in 2 rows of split test, but in none of train"):
        read_labels("multiclass", "kind", rows)


def test_class_that_only_test_lacks_is_no_fault():
    rows = parts(train=["tree", "bush", "herb"], validate=["bush", "tree"], test=["tree", "bush"])
    assert read_labels("multiclass", "kind", rows)[0] == ("bush", "herb", "tree")


@pytest.mark.parametrize(
    ("task", "values", "message"),
    [
        ("multiclass", ["tree", None], r"kind is missing somewhere in split test, .* kind IS NOT NULL"),
        ("multiclass", ["tree", "tree"], "kind is 'tree' in every row of split test"),
        ("regression", [1.5, None], r"kind is missing or not finite in split test, .* kind IS NOT NULL"),
        ("regression", [1.5, float("inf")], "kind is missing or not finite in split test"),
        ("regression", [1.5, 1.5], "kind is 1.5 in every row of split test, but nothing is learned from a constant"),
        ("binary", [True, None], r"kind is missing or neither 0 nor 1 in split test, .* kind IS NOT NULL"),
        ("binary", [True, True], "kind is 1 in every row of split test"),
    ],
)
def test_labels_that_cannot_teach_are_refused_by_split(task, values, message):
    good = {"multiclass": ["tree", "bush"], "regression": [1.0, 2.0], "binary": [False, True]}[task]
    with pytest.raises(PlatformError, match=message):
        read_labels(task, "kind", parts(train=good, validate=good, test=values))
