"""The object store beneath the stand-in of a workspace: S3, as those see it to whom the workspace lent credentials."""

from __future__ import annotations

import re
import time
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import httpx
from starlette.requests import Request
from starlette.responses import Response

from resources.databricks.testing.state import Grant, State

_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")
_READING = ("GET", "HEAD")
_HOP = {"connection", "content-length", "transfer-encoding", "host", "date", "server"}


class Storage:
    """Passes a signed request on to the store, if its credential was lent, has not ended and opens what it names.

    The store checks no credentials, so all that is checked is checked here; signatures are not.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._store = httpx.AsyncClient(base_url=state.store.settings["endpoint_url"], trust_env=False, timeout=60)

    async def answer(self, request: Request) -> Response:
        """The store's answer, or its refusal."""
        # Taken before anything is refused: what is left of it would be read as the connection's next request.
        content = await request.body()
        refused = self._refusal(request)
        if refused:
            return _error(403, refused, self._state.store.settings["region"])
        path = request.scope["raw_path"].decode()
        query = request.scope["query_string"].decode()
        passed = await self._store.send(
            self._store.build_request(
                request.method,
                self._store.base_url.copy_with(raw_path=f"{path}?{query}".encode() if query else path.encode()),
                headers=[(name, value) for name, value in request.headers.items() if name not in _HOP],
                content=content,
            ),
            stream=True,
        )
        answered = b"".join([chunk async for chunk in passed.aiter_raw()])
        kept = {name: value for name, value in passed.headers.items() if name not in _HOP}
        if request.method == "HEAD" and "content-length" in passed.headers:
            kept["content-length"] = passed.headers["content-length"]
        return Response(answered, passed.status_code, kept)

    async def close(self) -> None:
        """No connection is left."""
        await self._store.aclose()

    def _refusal(self, request: Request) -> str:
        """The code of the error; empty for what is allowed."""
        found = _ACCESS_KEY.search(request.headers.get("authorization", ""))
        grant = self._state.grants.get(found[1]) if found else None
        if grant is None:
            return "InvalidAccessKeyId"
        if request.headers.get("x-amz-security-token") != grant.session_token:
            return "InvalidToken"
        if time.time() >= grant.ends:
            return "ExpiredToken"
        return "" if _opens(grant, request) else "AccessDenied"


def signed(request: Request) -> bool:
    """Whether the request is one to the object store."""
    return request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256")


def _opens(grant: Grant, request: Request) -> bool:
    path = unquote(request.scope["raw_path"].decode()).strip("/")
    query = parse_qs(request.scope["query_string"].decode(), keep_blank_values=True)
    if "prefix" in query:  # a listing
        path = f"{path}/{query['prefix'][0]}".rstrip("/")
    inside = path == grant.prefix or path.startswith(f"{grant.prefix}/")
    # Many objects are deleted by a POST to the bucket, which names them in its body.
    if "delete" in query:
        inside = path == grant.prefix.split("/")[0]
    return inside and (grant.write or request.method in _READING)


def _error(status: int, code: str, region: str) -> Response:
    content = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{escape(code)}</Code></Error>'
    # Clients learn a bucket's region from its refusals too.
    return Response(content, status, {"x-amz-bucket-region": region}, media_type="application/xml")
