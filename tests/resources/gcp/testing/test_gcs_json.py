from __future__ import annotations

import httpx
import pytest

OBJECTS = "/storage/v1/b/shelf/o"
UPLOAD = f"/upload{OBJECTS}"


def upload(client: httpx.Client, name: str, content: bytes, **conditions: str) -> httpx.Response:
    return client.post(UPLOAD, params={"uploadType": "media", "name": name, **conditions}, content=content)


def test_uploaded_object_is_described_downloaded_and_deleted(client: httpx.Client) -> None:
    assert upload(client, "a/b", b"book").json()["size"] == "4"
    one = f"{OBJECTS}/a%2Fb"
    assert client.get(one).json()["name"] == "a/b"
    assert client.get(f"/download{one}", params={"alt": "media"}, headers={"range": "bytes=1-2"}).content == b"oo"
    assert client.delete(one).status_code == 204
    assert client.get(one).json()["error"]["code"] == 404


def test_upload_may_bring_its_description_along(client: httpx.Client) -> None:
    body = (
        b'--edge\r\nContent-Type: application/json\r\n\r\n{"name": "together"}\r\n'
        b"--edge\r\nContent-Type: application/octet-stream\r\n\r\n\x00book\xff\r\n--edge--"
    )
    headers = {"content-type": "multipart/related; boundary=edge"}
    assert client.post(UPLOAD, params={"uploadType": "multipart"}, content=body, headers=headers).status_code == 200
    assert client.get(f"{OBJECTS}/together", params={"alt": "media"}).content == b"\x00book\xff"


def test_only_the_generation_that_stands_is_replaced(client: httpx.Client) -> None:
    assert upload(client, "page", b"one", ifGenerationMatch="0").status_code == 200
    assert upload(client, "page", b"two", ifGenerationMatch="0").json()["error"]["code"] == 412
    assert client.get(f"{OBJECTS}/page", params={"alt": "media"}).content == b"one"


def test_pages_list_every_name_once_and_cut_at_the_delimiter(client: httpx.Client) -> None:
    for name in ("a", "b/1", "b/2", "c"):
        upload(client, f"list/{name}", b"")
    seen, token = [], ""
    while True:
        asked = {"prefix": "list/", "delimiter": "/", "maxResults": 1, "pageToken": token}
        page = client.get(OBJECTS, params=asked).json()
        seen += [item["name"] for item in page["items"]] + page.get("prefixes", [])
        if not (token := page.get("nextPageToken", "")):
            break
    assert seen == ["list/a", "list/b/", "list/c"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/storage/v1/b"),
        ("POST", f"{OBJECTS}/a/rewriteTo/b/shelf/o/c"),
        ("GET", f"{OBJECTS}?versions=true"),
        ("POST", f"{UPLOAD}?uploadType=resumable&name=a"),
        ("GET", f"{OBJECTS}/a?generation=1"),
    ],
)
def test_what_is_not_spoken_is_an_error(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, path).json()["error"]["code"] == 501
