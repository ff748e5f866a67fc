from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_platform.engine.scorer import Scorer
from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.jobs import score as score_module
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.jobs.score import score
from ml_platform.testing import training_set


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A training set in `table` and two models fitted on it, in `linear` and `baseline`."""
    folder = tmp_path_factory.mktemp("home")
    pin = training_set.write(folder / "table")
    for estimator in ("linear", "baseline"):
        (folder / estimator).mkdir()
        fit(JobOrder(training_set.fit_arguments(pin, estimator=estimator), {}), folder / estimator)
    return folder


@pytest.fixture
def scored(home, tmp_path):
    def run(rows, keep=("id",), **folders):
        arguments = {"rows": rows, "models": {"1": "champion", "2": "candidate"}, "keep": list(keep)}
        models = {"champion": home / "baseline", "candidate": home / "linear"}
        score(JobOrder(arguments, {**models, **folders}), tmp_path)
        return pq.read_table(tmp_path / "scores.parquet")

    return run


def test_rows_come_out_in_their_order_with_a_score_a_model(scored, home, monkeypatch):
    monkeypatch.setattr(score_module, "_BATCH_ROWS", 700)
    found = scored({"uri": str(home / "table"), "version": 0}, keep=["id", "carrier"])
    rows = training_set.rows()
    assert found.column_names == ["id", "carrier", "score_1", "score_2"]
    assert found.select(["id", "carrier"]).equals(rows.select(["id", "carrier"]))
    expected = Scorer.load(home / "linear").predict(training_set.columns(rows))
    assert np.array_equal(found.column("score_2").to_numpy(), expected)
    assert len(set(found.column("score_1").to_pylist())) == 1


def test_only_the_rows_asked_for_are_scored(scored, home):
    found = scored({"uri": str(home / "table"), "version": 0, "where": [["split", "=", "test"]]})
    assert found.column("id").to_pylist() == list(range(4000, 5000))


def test_parquet_files_are_scored_in_the_order_of_their_names(scored, tmp_path):
    rows = training_set.rows()
    (tmp_path / "files").mkdir()
    pq.write_table(rows.slice(100, 50), tmp_path / "files" / "b.parquet")
    pq.write_table(rows.slice(0, 50), tmp_path / "files" / "a.parquet")
    found = scored({"folder": "files"}, files=tmp_path / "files")
    assert found.column("id").to_pylist() == [*range(50), *range(100, 150)]


def test_no_rows_are_no_scores(scored, home):
    found = scored({"uri": str(home / "table"), "version": 0, "where": [["id", "<", 0]]})
    assert (found.num_rows, found.schema.field("score_1").type) == (0, pa.float64())


@pytest.mark.parametrize(("below", "models"), [(5000, {"score_1", "score_2"}), (0, set())], ids=["rows", "no rows"])
def test_what_a_single_row_takes_is_measured_for_each_model_where_it_is_asked(home, tmp_path, below, models):
    rows = {"uri": str(home / "table"), "version": 0, "where": [["id", "<", below]]}
    arguments = {"rows": rows, "models": {"1": "linear", "2": "baseline"}, "keep": ["id"], "timed_rows": 20}
    score(JobOrder(arguments, {name: home / name for name in ("linear", "baseline")}), tmp_path)
    told = json.loads((tmp_path / "latency.json").read_text())
    assert told.keys() == models
    assert all(0 < took["latency_median_ms"] <= took["latency_p99_ms"] for took in told.values())


def test_latency_is_not_measured_unasked(scored, home, tmp_path):
    scored({"uri": str(home / "table"), "version": 0, "where": [["id", "<", 3]]})
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]


def test_missing_columns_and_folders_are_errors(scored, home):
    with pytest.raises(PlatformError, match="column ids is missing from the rows"):
        scored({"uri": str(home / "table"), "version": 0}, keep=["ids"])
    with pytest.raises(DeclarationError, match="folder files is asked for, but was not sent"):
        scored({"folder": "files"})
    with pytest.raises(DeclarationError, match="argument version is absent"):
        scored({"uri": str(home / "table")})
