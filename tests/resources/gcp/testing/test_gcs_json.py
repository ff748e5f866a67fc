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


def test_an_upload_goes_on_where_it_stopped(client: httpx.Client) -> None:
    started = client.post(UPLOAD, params={"uploadType": "resumable", "ifGenerationMatch": "0"}, json={"name": "large"})
    where = started.headers["location"]
    first = client.put(where, content=b"one", headers={"content-range": "bytes 0-2/*"})
    assert (first.status_code, first.headers["range"]) == (308, "bytes=0-2")
    assert client.put(where, headers={"content-range": "bytes */*"}).headers["range"] == "bytes=0-2"
    assert client.put(where, content=b"!", headers={"content-range": "bytes 5-5/6"}).status_code == 400
    assert client.get(f"{OBJECTS}/large").status_code == 404
    assert client.put(where, content=b"two", headers={"content-range": "bytes 3-5/6"}).json()["size"] == "6"
    assert client.get(f"{OBJECTS}/large", params={"alt": "media"}).content == b"onetwo"


def test_a_bucket_is_there_or_is_not_found(client: httpx.Client) -> None:
    assert client.get("/storage/v1/b/shelf").json()["name"] == "shelf"
    assert client.get("/storage/v1/b/others").status_code == 404


def test_checksums_are_those_of_the_content(client: httpx.Client) -> None:
    # the check values that RFC 3720 gives for CRC-32C of 32 zero bytes (8A9136AA), and RFC 1321 for MD5 of "abc"
    assert upload(client, "zeros", bytes(32)).json()["crc32c"] == "ipE2qg=="
    assert upload(client, "abc", b"abc").json()["md5Hash"] == "kAFQmDzST7DWlj99KOF/cg=="


def test_only_the_fields_that_are_asked_for_are_answered(client: httpx.Client) -> None:
    upload(client, "part", b"abc")
    assert client.get(f"{OBJECTS}/part", params={"fields": "name,size"}).json() == {"name": "part", "size": "3"}


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
        ("POST", f"{UPLOAD}?uploadType=chunked&name=a"),
        ("GET", f"{OBJECTS}/a?generation=1"),
    ],
)
def test_what_is_not_spoken_is_an_error(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, path).json()["error"]["code"] == 501
