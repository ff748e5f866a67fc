from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.engine.package import digest
from ml_platform.errors import ServiceError
from ml_platform.testing.endpoint_host import write_package
from resources.mlflow.packages import fetch


def put(source: Path) -> Path:
    return write_package(source / "package", rate=0.5)


def test_an_unaltered_package_is_handed_out(tmp_path: Path) -> None:
    expected = digest(put(tmp_path / "source"))
    assert digest(fetch(put, expected, "version 1", tmp_path / "into")) == expected


def test_an_altered_package_is_not(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"version 1 has digest .*Its files were altered"):
        fetch(put, "0" * 64, "version 1", tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_folder_that_holds_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ServiceError, match="holds files already"):
        fetch(put, "0" * 64, "version 1", tmp_path)
