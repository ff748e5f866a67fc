from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_platform.engine import program


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package's source in another place, which a test may change."""
    folder = tmp_path / "ml_platform"
    shutil.copytree(program._PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(program, "_PACKAGE", folder)
    program.digest.cache_clear()
    yield folder
    program.digest.cache_clear()


def changed(copy: Path, file: str, *modules: str, added: str = "\nCHANGED = 1\n") -> bool:
    program.digest.cache_clear()
    before = program.digest(*modules)
    (copy / file).write_text((copy / file).read_text() + added)
    program.digest.cache_clear()
    return program.digest(*modules) != before


@pytest.mark.parametrize(
    "file",
    ["jobs/fit.py", "engine/encoding.py", "engine/estimators/gradient_boosting.py", "engine/metrics.py", "errors.py"],
)
def test_whatever_a_fit_imports_is_part_of_it(copy: Path, file: str) -> None:
    assert changed(copy, file, "jobs.fit")


@pytest.mark.parametrize("file", ["jobs/supervisor.py", "jobs/serving/app.py", "components/model.py"])
def test_what_a_fit_does_not_import_is_not(copy: Path, file: str) -> None:
    assert not changed(copy, file, "jobs.fit")


def test_what_a_server_imports_is_part_of_it(copy: Path) -> None:
    assert changed(copy, "engine/online.py", "jobs.serve")


def test_comments_and_docstrings_change_nothing(copy: Path) -> None:
    assert not changed(copy, "engine/encoding.py", "jobs.fit", added="\n# a comment\n")
    text = (copy / "engine/metrics.py").read_text()
    before = program.digest("jobs.fit")
    (copy / "engine/metrics.py").write_text(text.replace('"""', '"""Said otherwise. ', 1))
    program.digest.cache_clear()
    assert program.digest("jobs.fit") == before
