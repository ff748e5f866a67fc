from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ml_platform.engine import delta
from ml_platform.engine.sending import sent
from ml_platform.engine.staging import stage
from ml_platform.errors import NotFoundError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.jobs.score import score
from ml_platform.records.table import Location
from ml_platform.testing import training_set
from ml_platform.testing.inline_job_runner import InlineJobRunner


@pytest.fixture
def table(tmp_path: Path) -> Location:
    location = Location("training_sets/late", str(tmp_path / "table"))
    for read in (None, "first"):
        rows = training_set.rows(seed=1 if read else 2)
        staged = stage(rows.to_batches(), rows.schema, location)
        before = delta.snapshot(location)
        delta.commit(staged, read=before, replaced=(), transactions={}, evidence={})
    return location


def test_a_table_in_reach_is_sent_by_its_address(table: Location, tmp_path: Path) -> None:
    assert sent(table, 1, InlineJobRunner(), tmp_path) == (delta.pinned(table, 1), {})


def test_a_fit_and_a_score_are_the_same_where_the_table_comes_along(table: Location, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    pin, folders = sent(table, 1, InlineJobRunner(stages=True), tmp_path / "scratch")
    (tmp_path / "table").rename(tmp_path / "out_of_reach")
    along = {name: Path(path) for name, path in folders.items()}
    here = delta.pinned(Location(table.key, str(tmp_path / "out_of_reach")), 1)
    results = []
    for name, given, order in (("here", here, {}), ("along", pin, along)):
        package, scores = tmp_path / f"{name}_package", tmp_path / f"{name}_scores"
        package.mkdir()
        scores.mkdir()
        fit(JobOrder(training_set.fit_arguments(given, estimator="gradient_boosting"), order), package)
        arguments = {"rows": {**given, "where": [["split", "=", "test"]]}, "models": {"1": "m"}, "keep": ["late"]}
        score(JobOrder(arguments, {**order, "m": package}), scores)
        results.append((package / "metrics.json").read_text())
        results.append(np.asarray(pq.read_table(scores / "scores.parquet")["score_1"]).tolist())
    assert results[:2] == results[2:]


def test_a_table_that_is_not_there_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="gold/none is not there"):
        sent(Location("gold/none", str(tmp_path / "none")), 0, InlineJobRunner(stages=True), tmp_path)
