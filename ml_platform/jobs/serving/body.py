"""The body of a request, which is not read further than its limit, nor waited for for ever."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.exceptions import HTTPException

_SECONDS = 10.0  # until a body has come


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises HTTPException 413 where it is longer than so many bytes, 408 where it does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise HTTPException(413, f"the body is over {limit} bytes, but no more is read. Send fewer rows.")
    except TimeoutError as error:
        raise HTTPException(408, f"the body has not come within {_SECONDS} s, but no longer is waited") from error
    return bytes(body)
