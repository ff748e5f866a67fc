"""Secrets in a text: what the environment holds as one, and what stands in an address, left out of it."""

from __future__ import annotations

import os
import re

HIDDEN = "[hidden]"
_NAMES = r"SECRET|PASSWORD|PASSWD|PWD\b|TOKEN|CREDENTIAL|SIGNATURE|PRIVATE|(?:API|ACCESS|ACCOUNT|REDACTION)[_-]?KEY"
_SECRET = re.compile(f"{_NAMES}|WEBHOOK", re.IGNORECASE)
# Of an address, what a parameter says that is named so; `sig` is that of a shared access signature.
_PARAMETER = re.compile(rf"([?&;](?:[\w.-]*(?:{_NAMES})[\w.-]*|sig)=)([^&;\s\"']+)", re.IGNORECASE)
_ADDRESS = re.compile(r"(?<=://)[^/\s@]+@")
# Shorter values are words, which would be left out of every sentence.
_SHORTEST = 6


def redacted(text: str) -> str:
    """The text without the values of variables that are named as secrets are, and without who logs in to an address.

    Nor what an address says in parameters that are named so.

    >>> redacted("postgresql://ann:pass@host/shop is not there")
    'postgresql://[hidden]@host/shop is not there'
    """
    for value in _values():
        text = text.replace(value, HIDDEN)
    return _PARAMETER.sub(rf"\1{HIDDEN}", _ADDRESS.sub(f"{HIDDEN}@", text))


def _values() -> list[str]:
    """What the environment holds as secrets, and the passwords of addresses in it; the longest first."""
    found = {value for name, value in os.environ.items() if _SECRET.search(name)}
    for value in os.environ.values():
        for login in _ADDRESS.findall(value):
            found.add(login.removesuffix("@").partition(":")[2])
        found |= {said for _, said in _PARAMETER.findall(value)}
    return sorted((value for value in found if len(value) >= _SHORTEST), key=len, reverse=True)
