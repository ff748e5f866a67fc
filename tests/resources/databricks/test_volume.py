from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.errors import NotFoundError
from resources.databricks.volume import Volume
from resources.databricks.workspace import Workspace


@pytest.fixture
def volume(catalog: str, prefix: str) -> Volume:
    return Volume(Workspace(), f"/Volumes/{catalog}/ml_platform/ml_platform/{prefix}/")


def test_a_file_is_put_with_its_directories_and_got(volume: Volume) -> None:
    assert not volume.holds("a/b/c")
    volume.put("a/b/c", b"one")
    volume.put("a/b/c", b"two")
    assert volume.holds("a/b/c")
    assert volume.get("a/b/c") == b"two"
    assert volume.entries("a") == {"b": True}
    assert volume.entries("a/b") == {"c": False}
    assert volume.entries("nothing") == {}
    with pytest.raises(NotFoundError, match="/nothing is asked for"):
        volume.get("nothing")


def test_a_new_file_is_put_once(volume: Volume) -> None:
    assert volume.put_new("a/b", b"one")
    assert not volume.put_new("a/b", b"two")
    assert volume.get("a/b") == b"one"


def test_a_folder_goes_there_and_comes_back(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "sent" / "deep").mkdir(parents=True)
    (tmp_path / "sent" / "empty").write_bytes(b"")
    (tmp_path / "sent" / "deep" / "ü 1").write_bytes(bytes(range(256)))
    volume.upload(tmp_path / "sent", "x/y")
    back = volume.download("x/y", tmp_path / "back")
    found = {path.relative_to(back).as_posix(): path.read_bytes() for path in back.rglob("*") if path.is_file()}
    assert found == {"empty": b"", "deep/ü 1": bytes(range(256))}


def test_a_volume_that_nobody_made_is_told(catalog: str) -> None:
    with pytest.raises(NotFoundError, match=f"Volume '{catalog}.ml_platform.nobodys' does not exist"):
        Volume(Workspace(), f"/Volumes/{catalog}/ml_platform/nobodys").put("a", b"")
