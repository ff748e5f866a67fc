from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.errors import NotFoundError
from resources.aws.bucket import Bucket


@pytest.fixture
def bucket(place: dict[str, str]) -> Bucket:
    return Bucket(place["bucket"], place["region"])


@pytest.fixture
def prefix(place: dict[str, str]) -> str:
    return place["prefix"]


def test_object_is_new_once(bucket: Bucket, prefix: str) -> None:
    assert bucket.put_new(f"{prefix}/a", b"first")
    assert not bucket.put_new(f"{prefix}/a", b"second")
    assert bucket.get(f"{prefix}/a") == b"first"


def test_object_that_is_not_there_is_not_found(bucket: Bucket, prefix: str) -> None:
    with pytest.raises(NotFoundError, match="GetObject is refused by Amazon Web Services with NoSuchKey"):
        bucket.get(f"{prefix}/a")
    with pytest.raises(NotFoundError):
        bucket.fetch(f"{prefix}/a", Path("never"))


def test_keys_come_in_order_and_after_the_one_named(bucket: Bucket, prefix: str) -> None:
    for name in ("b", "a", "c"):
        bucket.put_new(f"{prefix}/{name}", b"")
    assert bucket.page(f"{prefix}/") == [f"{prefix}/{name}" for name in "abc"]
    assert bucket.page(f"{prefix}/", after=f"{prefix}/a") == [f"{prefix}/b", f"{prefix}/c"]
    assert bucket.page(f"{prefix}/", after=f"{prefix}/c") == []


def test_folder_comes_back_as_it_went(bucket: Bucket, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "sent" / "deep").mkdir(parents=True)
    (tmp_path / "sent" / "deep" / "a.txt").write_text("a")
    (tmp_path / "sent" / "b.txt").write_text("b")
    bucket.upload(tmp_path / "sent", f"{prefix}/1")
    bucket.put_new(f"{prefix}/10/else", b"")
    bucket.download(f"{prefix}/1", tmp_path / "back")
    found = {str(path.relative_to(tmp_path / "back")): path.read_text() for path in (tmp_path / "back").rglob("*.txt")}
    assert found == {"deep/a.txt": "a", "b.txt": "b"}
    assert not (tmp_path / "back" / "else").exists()
    assert sorted(bucket.folders(f"{prefix}/")) == ["1", "10"]
