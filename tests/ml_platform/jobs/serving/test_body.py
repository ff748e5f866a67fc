from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ml_platform.jobs.serving.body import read_body

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}


def read(chunks: list[bytes], then: Any) -> bytes:
    """The body that comes in those chunks, which are gone once read; then comes what is said, None for nothing."""

    async def receive() -> Any:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": True}
        if then is None:
            await asyncio.Event().wait()
        return then

    return asyncio.run(read_body(Request(SCOPE, receive), 6))


def test_body_is_whole_whatever_it_comes_in() -> None:
    end = {"type": "http.request", "body": b"f", "more_body": False}
    assert read([b"ab", b"", b"cde"], end) == b"abcdef"
    assert read([], {**end, "body": b""}) == b""


def test_body_is_read_no_further_than_its_limit() -> None:
    chunks = [b"abcd", b"efg", b"h"]
    with pytest.raises(HTTPException, match="the body is over 6 bytes") as refused:
        read(chunks, None)
    assert (refused.value.status_code, chunks) == (413, [b"h"])


def test_body_that_does_not_come_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_platform.jobs.serving.body._SECONDS", 0.05)
    with pytest.raises(HTTPException, match=r"has not come within 0\.05 s") as refused:
        read([b"a"], None)
    assert refused.value.status_code == 408


def test_client_that_leaves_is_told_of() -> None:
    with pytest.raises(ClientDisconnect):
        read([b"a"], {"type": "http.disconnect"})
