from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.testing.concurrent_modes import ConcurrentModesContract, ContendedPartitionContract
from ml_platform.testing.concurrent_writers import ConcurrentWritersContract
from ml_platform.testing.lakehouse import LakehouseContract
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse


class TestEmbeddedLakehouse(LakehouseContract):
    @pytest.fixture
    def lakehouse(self, tmp_path: Path) -> EmbeddedLakehouse:
        return EmbeddedLakehouse(str(tmp_path / "lakehouse"))


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ML_PLATFORM_ENV", "test")


@pytest.mark.usefixtures("bound")
class TestConcurrentWritersOverEmbeddedLakehouse(ConcurrentWritersContract):
    pass


@pytest.mark.usefixtures("bound")
class TestConcurrentModesOverEmbeddedLakehouse(ConcurrentModesContract):
    pass


class TestContendedPartitionOverEmbeddedLakehouse(ContendedPartitionContract):
    @pytest.fixture
    def lakehouse(self, tmp_path: Path) -> EmbeddedLakehouse:
        return EmbeddedLakehouse(str(tmp_path / "lakehouse"))

    @pytest.fixture
    def compute(self) -> EmbeddedCompute:
        return EmbeddedCompute(threads=1)


def test_asking_where_something_lives_makes_no_folder(tmp_path: Path) -> None:
    lakehouse = EmbeddedLakehouse(str(tmp_path / "lakehouse"))
    assert lakehouse.table("silver/flights").uri == str(tmp_path / "lakehouse" / "tables" / "silver" / "flights")
    assert lakehouse.files("landing/flights").uri == str(tmp_path / "lakehouse" / "files" / "landing" / "flights")
    assert not (tmp_path / "lakehouse").exists()


def test_a_relative_root_stays_where_it_was_when_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lakehouse = EmbeddedLakehouse("here")
    monkeypatch.chdir("/")
    assert lakehouse.table("a/b").uri == str(tmp_path / "here" / "tables" / "a" / "b")
