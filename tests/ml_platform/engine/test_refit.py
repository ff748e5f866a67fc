from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml_platform.engine import delta, kept_code
from ml_platform.engine.package import ORDER, read_json
from ml_platform.engine.refit import difference, libraries_moved, refitted
from ml_platform.errors import ServiceError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import Location, TableSnapshot
from ml_platform.testing import training_set
from resources.embedded.lakehouse import EmbeddedLakehouse


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> TableSnapshot:
    folder = tmp_path_factory.mktemp("rows")
    training_set.write(folder)
    return delta.existing(Location("training_sets/late", str(folder)))


@pytest.fixture(scope="module")
def package(rows: TableSnapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    fit(JobOrder(training_set.fit_arguments(delta.pinned(rows.location, rows.version)), {}), folder)
    return folder


def test_a_refit_runs_the_code_of_then_and_not_that_of_here(rows: TableSnapshot, package: Path, tmp_path: Path) -> None:
    """The kept code of this test fails on purpose: that it is heard shows whose code ran."""
    import hashlib
    import zipfile

    archive = tmp_path / "then.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("ml_platform/__init__.py", "")
        content.writestr("ml_platform/jobs/__init__.py", "")
        content.writestr("ml_platform/jobs/fit.py", "raise SystemExit('the code of then')")
    lakehouse = EmbeddedLakehouse(str(tmp_path / "lake"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    kept = Path(lakehouse.files(kept_code.KEY).uri)
    kept.mkdir(parents=True)
    archive.rename(kept / f"{digest}.zip")
    version = ModelVersion("late", 1, "d", {kept_code.TAG: digest})

    with pytest.raises(ServiceError, match="the code of then"):
        refitted(read_json(package / ORDER), rows, version, lakehouse, tmp_path, lambda _: None)


def test_answers_of_one_package_do_not_differ_and_those_of_another_do(
    rows: TableSnapshot, package: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    pin = delta.pinned(rows.location, rows.version)
    fit(JobOrder(training_set.fit_arguments(pin, estimator="baseline"), {}), other)

    assert difference(package, package, rows) == 0.0
    assert difference(package, other, rows) > 0.01


def test_a_library_of_another_version_is_named(package: Path, tmp_path: Path) -> None:
    import shutil

    then = Path(shutil.copytree(package, tmp_path / "then"))
    card = json.loads((then / "model.json").read_text())
    now = card["versions"]["lightgbm"]
    card["versions"]["lightgbm"] = "3.3.5"
    (then / "model.json").write_text(json.dumps(card))

    assert libraries_moved(then, package) == [f"lightgbm was 3.3.5 and is {now}."]
    assert libraries_moved(package, package) == []
