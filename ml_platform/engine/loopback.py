"""Requests to programs on this machine: plain HTTP, past any proxy, and without reading the world's certificates.

httpx reads some 140 certificates for every client that it makes, 20 to 40 ms of CPU, and each call of its top-level
functions makes one; whoever looks ten times a second whether a server is up spends a third of a core on that.
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


def request(method: str, url: str, **given: Any) -> httpx.Response:
    """The answer, as of `httpx.request`, whose arguments it takes; an https address is refused, for nobody is trusted.

    Raises httpx.TransportError where none comes.
    """
    import httpx

    return httpx.request(method, url, verify=trusting_nobody(), trust_env=False, **given)


@cache
def trusting_nobody() -> ssl.SSLContext:
    """What a client of its own is to be made with, as its `verify`."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
