from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ml_platform.engine.scorer import Scorer
from ml_platform.errors import PlatformError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.testing import training_set

ROW = {"wind": [0.5], "hour": [9], "carrier": ["UA"]}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    pin = training_set.write(tmp_path_factory.mktemp("training_set"))
    arguments = training_set.fit_arguments(pin, estimator="gradient_boosting", parameters={"rounds": 50})
    fit(JobOrder(arguments, {}), folder)
    return folder


def test_features_are_known_in_order_with_their_types(package):
    features = Scorer.load(package).features
    assert [(feature.name, feature.type) for feature in features] == list(training_set.FEATURES.items())
    assert features[2].values == ("AA", "DL", "UA")


def test_one_row_scores_as_it_does_among_many(package):
    scorer = Scorer.load(package)
    columns = training_set.columns(training_set.rows().slice(0, 600))
    many = scorer.predict(columns)
    assert many.shape == (600,)
    assert many.dtype == np.float64
    assert ((many > 0) & (many < 1)).all()
    single = [scorer.predict({name: [column[row]] for name, column in columns.items()})[0] for row in range(40)]
    assert single == many[:40].tolist()


def test_unknown_category_and_null_are_both_missing(package):
    scorer = Scorer.load(package)
    unknown, null = (scorer.predict({**ROW, "carrier": [value]})[0] for value in ("ZZ", None))
    assert unknown == null
    assert scorer.predict({**ROW, "wind": [None]}) == scorer.predict({**ROW, "wind": [float("nan")]})


def test_infinite_number_counts_as_missing_when_it_is_scored(package):
    scorer = Scorer.load(package)
    missing = scorer.predict({**ROW, "wind": [None]})
    for infinite in (float("inf"), float("-inf")):
        assert scorer.predict({**ROW, "wind": [infinite]}) == missing


def test_wrong_columns_are_errors_that_name_the_feature(package):
    scorer = Scorer.load(package)
    with pytest.raises(PlatformError, match="feature hour is missing"):
        scorer.predict({"wind": [0.5], "carrier": ["UA"]})
    with pytest.raises(PlatformError, match="feature wind is 'strong', but it is a number"):
        scorer.predict({**ROW, "wind": ["strong"]})


def test_no_rows_are_no_scores(package):
    assert Scorer.load(package).predict({"wind": [], "hour": [], "carrier": []}).shape == (0,)


def test_threads_share_a_scorer(package):
    scorer = Scorer.load(package)
    rows = [{**ROW, "wind": [wind]} for wind in np.linspace(-2, 2, 200)]
    alone = [scorer.predict(row)[0] for row in rows]
    with ThreadPoolExecutor(8) as pool:
        assert [score[0] for score in pool.map(scorer.predict, rows)] == alone


def test_single_row_is_scored_within_milliseconds(package):
    scorer = Scorer.load(package)
    scorer.predict(ROW)
    seconds = []
    for _ in range(200):
        started = time.perf_counter()
        scorer.predict(ROW)
        seconds.append(time.perf_counter() - started)
    # A hundred times what it takes on an idle machine: this catches a slow path, not a slow neighbour.
    assert np.median(seconds) < 0.01


def test_folder_that_is_no_package_is_refused(tmp_path):
    with pytest.raises(PlatformError, match="is no model package"):
        Scorer.load(tmp_path)


def test_scoring_needs_no_library_but_the_estimators_own(tmp_path):
    pin = training_set.write(tmp_path / "training_set")
    (tmp_path / "package").mkdir()
    fit(JobOrder(training_set.fit_arguments(pin), {}), tmp_path / "package")
    program = (
        "import sys; from pathlib import Path; from ml_platform.engine.scorer import Scorer\n"
        "Scorer.load(Path(sys.argv[1])).predict({'wind': [1.0], 'hour': [9], 'carrier': ['UA']})\n"
        "assert not {'pandas', 'sklearn', 'scipy', 'pyarrow', 'lightgbm', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "package")], check=True)
