"""Secrets in a text: what the environment holds as one, and what stands in an address, left out of it."""

from __future__ import annotations

import os
import re

HIDDEN = "[hidden]"
_SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|PRIVATE|(API|ACCESS|ACCOUNT)_?KEY", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<=://)[^/\s@]+@")
# Shorter values are words, which would be left out of every sentence.
_SHORTEST = 6


def redacted(text: str) -> str:
    """The text without the values of variables that are named as secrets are, and without who logs in to an address.

    >>> redacted("postgresql://ann:pass@host/shop is not there")
    'postgresql://[hidden]@host/shop is not there'
    """
    for value in _values():
        text = text.replace(value, HIDDEN)
    return _ADDRESS.sub(f"{HIDDEN}@", text)


def _values() -> list[str]:
    """What the environment holds as secrets, and the passwords of addresses in it; the longest first."""
    found = {value for name, value in os.environ.items() if _SECRET.search(name)}
    for value in os.environ.values():
        for login in _ADDRESS.findall(value):
            found.add(login.removesuffix("@").partition(":")[2])
    return sorted((value for value in found if len(value) >= _SHORTEST), key=len, reverse=True)
