from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ml_platform.engine import kept_code
from ml_platform.errors import AuditError, NotFoundError
from resources.embedded.lakehouse import EmbeddedLakehouse


@pytest.fixture
def lakehouse(tmp_path: Path) -> EmbeddedLakehouse:
    return EmbeddedLakehouse(str(tmp_path / "lake"))


def test_the_archive_is_kept_once_by_its_digest(lakehouse: EmbeddedLakehouse) -> None:
    digest = kept_code.keep(lakehouse)
    (archive,) = Path(lakehouse.files(kept_code.KEY).uri).iterdir()
    written = archive.stat().st_mtime_ns

    assert kept_code.keep(lakehouse) == digest
    assert archive.name == f"{digest}.zip"
    assert archive.stat().st_mtime_ns == written


def test_python_runs_a_job_s_program_out_of_it(lakehouse: EmbeddedLakehouse, tmp_path: Path) -> None:
    archive = kept_code.fetch(lakehouse, kept_code.keep(lakehouse), tmp_path)

    program = "import ml_platform.jobs.fit as it; print(it.__file__)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(archive)!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == f"{archive}/ml_platform/jobs/fit.py"


def test_code_knows_its_digest_in_a_folder_and_in_the_archive(lakehouse: EmbeddedLakehouse, tmp_path: Path) -> None:
    digest = kept_code.keep(lakehouse)
    archive = kept_code.fetch(lakehouse, digest, tmp_path)
    program = "from ml_platform.engine.kept_code import own_digest; print(own_digest())"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(archive)!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest == kept_code.own_digest()


def test_what_is_not_kept_or_was_altered_is_refused(lakehouse: EmbeddedLakehouse, tmp_path: Path) -> None:
    digest = kept_code.keep(lakehouse)
    with pytest.raises(NotFoundError, match="does not hold it"):
        kept_code.fetch(lakehouse, "0" * 64, tmp_path)

    (archive,) = Path(lakehouse.files(kept_code.KEY).uri).iterdir()
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(AuditError, match="altered"):
        kept_code.fetch(lakehouse, digest, tmp_path)
