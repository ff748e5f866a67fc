from __future__ import annotations

import io

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import AlreadyExists, BadRequest, InvalidParameterValue, NotFound


def put(client: WorkspaceClient, path: str, content: bytes, **how: bool) -> None:
    client.files.upload(path, io.BytesIO(content), **how)


def read(client: WorkspaceClient, path: str) -> bytes:
    contents = client.files.download(path).contents
    assert contents is not None
    return contents.read()


def test_a_file_is_put_read_described_and_deleted(client: WorkspaceClient, folder: str) -> None:
    client.files.create_directory(f"{folder}/a/b")
    put(client, f"{folder}/a/b/ü 1.txt", b"one")
    assert read(client, f"{folder}/a/b/ü 1.txt") == b"one"
    assert client.files.get_metadata(f"{folder}/a/b/ü 1.txt").content_length == 3
    client.files.delete(f"{folder}/a/b/ü 1.txt")
    with pytest.raises(NotFound, match="The file being accessed is not found"):
        client.files.download(f"{folder}/a/b/ü 1.txt")


def test_a_file_that_stands_is_replaced_only_where_that_is_asked_for(client: WorkspaceClient, folder: str) -> None:
    client.files.create_directory(folder)
    put(client, f"{folder}/a", b"one", overwrite=False)
    with pytest.raises(AlreadyExists):
        put(client, f"{folder}/a", b"two", overwrite=False)
    assert read(client, f"{folder}/a") == b"one"
    put(client, f"{folder}/a", b"two")
    assert read(client, f"{folder}/a") == b"two"


def test_a_directory_has_to_be_there_and_goes_when_it_is_empty(client: WorkspaceClient, folder: str) -> None:
    with pytest.raises(NotFound):
        put(client, f"{folder}/a", b"one")
    client.files.create_directory(folder)
    client.files.create_directory(folder)
    put(client, f"{folder}/a", b"one")
    with pytest.raises(BadRequest, match="not empty"):
        client.files.delete_directory(folder)
    client.files.delete(f"{folder}/a")
    client.files.delete_directory(folder)
    with pytest.raises(NotFound):
        list(client.files.list_directory_contents(folder))


def test_a_directory_is_listed_page_by_page(client: WorkspaceClient, folder: str) -> None:
    client.files.create_directory(f"{folder}/c")
    for name in ("b", "a", "d"):
        put(client, f"{folder}/{name}", name.encode())
    listed = list(client.files.list_directory_contents(folder, page_size=2))
    assert [(entry.name, entry.is_directory, entry.file_size) for entry in listed] == [
        ("a", False, 1),
        ("b", False, 1),
        ("c", True, None),
        ("d", False, 1),
    ]


@pytest.mark.parametrize("path", ["/Volumes/ml/ml_platform", "/tmp/a/b/c/d"])  # noqa: S108
def test_a_path_outside_of_a_volume_is_refused(client: WorkspaceClient, path: str) -> None:
    with pytest.raises(InvalidParameterValue, match="Invalid path"):
        client.files.create_directory(path)


def test_a_volume_that_nobody_made_is_not_found(client: WorkspaceClient) -> None:
    with pytest.raises(NotFound, match=r"Volume 'ml\.ml_platform\.other' does not exist"):
        client.files.create_directory("/Volumes/ml/ml_platform/other/a")
