from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ml_platform.errors import NotFoundError
from resources.gcp.bucket import Bucket


@pytest.fixture
def bucket(account: Any) -> Bucket:
    return Bucket(account.place["bucket"])


def test_an_object_is_put_where_its_name_is_free_and_nowhere_else(bucket: Bucket, account: Any) -> None:
    name = f"{account.prefix}/once"
    assert bucket.put_new(name, b"first")
    assert not bucket.put_new(name, b"second")
    assert bucket.get(name) == b"first"


def test_what_is_not_there_is_not_found(bucket: Bucket, account: Any) -> None:
    assert bucket.find(f"{account.prefix}/nothing") is None
    with pytest.raises(NotFoundError, match=r"storage\.objects\.get"):
        bucket.get(f"{account.prefix}/nothing")


def test_a_page_goes_on_behind_a_name(bucket: Bucket, account: Any) -> None:
    names = [f"{account.prefix}/{number}" for number in (1, 2, 10)]
    for name in names:
        bucket.put_new(name, b"")
    assert bucket.page(f"{account.prefix}/") == sorted(names)
    assert bucket.page(f"{account.prefix}/", after=f"{account.prefix}/10") == [f"{account.prefix}/2"]


def test_a_folder_travels_and_is_deleted_with_nothing_beside_it(bucket: Bucket, account: Any, tmp_path: Path) -> None:
    (tmp_path / "sent" / "inside").mkdir(parents=True)
    (tmp_path / "sent" / "inside" / "ä b.txt").write_text("book")
    for number in (1, 11):
        bucket.upload(tmp_path / "sent", f"{account.prefix}/{number}")
    assert bucket.folders(f"{account.prefix}/") == ["1", "11"]
    bucket.download(f"{account.prefix}/1", tmp_path / "come")
    assert (tmp_path / "come" / "inside" / "ä b.txt").read_text() == "book"
    bucket.delete(f"{account.prefix}/1")
    assert bucket.folders(f"{account.prefix}/") == ["11"]
    assert bucket.uri("a/b") == f"gs://{bucket.name}/a/b"
