"""Tags of Unity Catalog: how texts of any length, under any key, stand in tags that hold 1,000 characters each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from ml_platform.errors import DeclarationError

_CHARACTERS = 1000
_PARTS = re.compile(r"parts (\w{16}) (\d+)")
_PART = re.compile(r"__[0-9a-f]{16}_\d+$")
_KEY = re.compile(r"[A-Za-z0-9_ ]{1,200}")


def packed(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags to set, in this order: parts stand before the tag that names them, so that a reader never lacks one.

    Raises DeclarationError for a key that Unity Catalog does not take.

    >>> list(packed({"gate": "x" * 1200}))
    ['gate__802df553d545f05a_0', 'gate__802df553d545f05a_1', 'gate']
    """
    found: dict[str, str] = {}
    for key, value in tags.items():
        if not _KEY.fullmatch(key) or _PART.search(key):
            raise DeclarationError(
                f"the tag {key!r} is given, but Unity Catalog does not take it",
                allowed="A key is up to 200 letters, digits, spaces and _",
            )
        found |= _packed(key, value)
    return found


def unpacked(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags as they were given; parts that no tag names any more are left out."""
    whole: dict[str, str] = {}
    for key, value in tags.items():
        parts = _PARTS.fullmatch(value)
        if _PART.search(key):
            continue
        whole[key] = "".join(tags[_part(key, parts[1], n)] for n in range(int(parts[2]))) if parts else value
    return whole


def _packed(key: str, value: str) -> dict[str, str]:
    # A short value that looks like what names parts would be taken for it.
    if len(value) <= _CHARACTERS and not _PARTS.fullmatch(value):
        return {key: value}
    digest = hashlib.sha256(value.encode()).hexdigest()[:16]
    cut = [value[start : start + _CHARACTERS] for start in range(0, len(value), _CHARACTERS)]
    parts = {_part(key, digest, number): part for number, part in enumerate(cut)}
    return {**parts, key: f"parts {digest} {len(cut)}"}


def _part(key: str, digest: str, number: int) -> str:
    return f"{key}__{digest}_{number}"
