from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ml_platform.engine.scorer import Scorer
from ml_platform.errors import PlatformError
from ml_platform.fitted_model import FittedModel
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.testing import training_set
from ml_platform.testing.memory_model_registry import MemoryModelRegistry


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    pin = training_set.write(tmp_path_factory.mktemp("training_set"))
    fit(JobOrder(training_set.fit_arguments(pin), {}), folder)
    return folder


@pytest.fixture(scope="module")
def model(package: Path) -> FittedModel:
    registry = MemoryModelRegistry()
    return FittedModel(registry.register("late", package, {}), registry)


def test_answers_are_the_package_s_in_the_library_of_the_frame(model: FittedModel, package: Path) -> None:
    rows = training_set.rows().slice(0, 50)
    expected = Scorer.load(package).predict(training_set.columns(rows)).tolist()
    in_pandas = rows.to_pandas().set_index(pl.Series(range(50, 100)).to_numpy())

    assert model.predict(rows).to_pylist() == expected
    assert model.predict(pl.from_arrow(rows)).to_list() == expected
    assert model.predict(in_pandas).tolist() == expected
    assert model.predict(in_pandas).index.tolist() == list(range(50, 100))


def test_a_feature_that_is_lacking_is_named(model: FittedModel) -> None:
    with pytest.raises(PlatformError, match="feature wind is missing"):
        model.predict(training_set.rows().drop_columns("wind"))


def test_what_is_no_frame_is_refused(model: FittedModel) -> None:
    with pytest.raises(PlatformError, match="a list is given, but that is no frame"):
        model.predict([1, 2])


def test_a_model_says_which_it_is(model: FittedModel) -> None:
    assert repr(model) == "late version 1"
    assert {feature.name: feature.type for feature in model.card.features} == dict(training_set.FEATURES)
