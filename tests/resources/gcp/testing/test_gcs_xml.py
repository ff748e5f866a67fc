from __future__ import annotations

import re

import httpx
import pytest


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-2", 206, b"012"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=8-99", 206, b"89"),
    ],
)
def test_range_is_cut_out(client: httpx.Client, asked: str, status: int, content: bytes) -> None:
    client.put("/shelf/digits", content=b"0123456789")
    answer = client.get("/shelf/digits", headers={"range": asked})
    assert (answer.status_code, answer.content) == (status, content)


def test_range_outside_of_the_object_is_refused(client: httpx.Client) -> None:
    client.put("/shelf/digits", content=b"0123456789")
    assert client.get("/shelf/digits", headers={"range": "bytes=10-"}).status_code == 416


def test_head_tells_the_size_without_the_content(client: httpx.Client) -> None:
    client.put("/shelf/digits", content=b"0123456789")
    answer = client.head("/shelf/digits")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "10", b"")
    assert client.head("/shelf/nothing").status_code == 404


def test_only_the_generation_that_stands_is_replaced(client: httpx.Client) -> None:
    first = client.put("/shelf/page", content=b"one").headers["x-goog-generation"]
    stale = {"x-goog-if-generation-match": first}
    assert client.put("/shelf/page", content=b"two", headers=stale).status_code == 200
    assert client.put("/shelf/page", content=b"three", headers=stale).status_code == 412
    assert client.get("/shelf/page").content == b"two"


def test_pages_list_every_name_once_and_cut_at_the_delimiter(client: httpx.Client) -> None:
    for name in ("a", "b/1", "b/2", "c", "d/1"):
        client.put(f"/shelf/list/{name}", content=b"")
    seen, token = [], None
    while True:
        asked = {"list-type": "2", "prefix": "list/", "delimiter": "/", "max-keys": "1"}
        page = client.get("/shelf", params={**asked, **({"continuation-token": token} if token else {})}).text
        seen += re.findall(r"<(?:Key|Prefix)>(.+?)<", page)
        if not (more := re.search(r"<NextContinuationToken>(.+?)<", page)):
            break
        token = more[1]
    assert seen == ["list/a", "list/b/", "list/c", "list/d/"]


def test_upload_in_parts_is_there_once_it_is_completed(client: httpx.Client) -> None:
    started = client.post("/shelf/large", params={"uploads": ""}).text
    upload = re.search(r"<UploadId>(.+?)<", started)[1]
    for number, content in ((2, b"two"), (1, b"one")):
        client.put("/shelf/large", params={"partNumber": number, "uploadId": upload}, content=content)
    assert client.get("/shelf/large").status_code == 404
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>x</ETag></Part>" for n in (1, 2))
    whole = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
    assert client.post("/shelf/large", params={"uploadId": upload}, content=whole).status_code == 200
    assert client.get("/shelf/large").content == b"onetwo"
    assert client.post("/shelf/large", params={"uploadId": upload}, content=whole).status_code == 404


def test_copy_keeps_the_source_and_respects_what_stands(client: httpx.Client) -> None:
    client.put("/shelf/from here", content=b"book")
    source = {"x-goog-copy-source": "shelf/from%20here"}
    assert client.put("/shelf/to", headers=source).status_code == 200
    assert client.get("/shelf/to").content == client.get("/shelf/from here").content == b"book"
    assert client.put("/shelf/to", headers={**source, "x-goog-if-generation-match": "0"}).status_code == 412


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/shelf/a?acl"),
        ("PUT", "/shelf"),
        ("PATCH", "/shelf/a"),
        ("GET", "/shelf?versions"),
        ("POST", "/shelf/a"),
    ],
)
def test_what_is_not_spoken_is_an_error(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 501


@pytest.mark.parametrize("header", ["if-none-match", "x-goog-if-metageneration-match", "x-goog-copy-source-generation"])
def test_a_condition_that_is_not_spoken_is_an_error(client: httpx.Client, header: str) -> None:
    assert client.put("/shelf/conditional", content=b"", headers={header: "1"}).status_code == 501


def test_bucket_that_is_not_there_is_an_error(client: httpx.Client) -> None:
    assert client.put("/others/a", content=b"").status_code == 404
