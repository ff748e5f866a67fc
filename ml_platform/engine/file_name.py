"""The names of data files: the digest of what a file holds, and for one that took the place of others, whom it is for.

The rows of a table are known by the names of its files: each stands for a number, and several for the sum of theirs. A
name of two parts, `<digest>.<number>.parquet`, says which number the file stands for; any other name is digested. So
files can take the place of others with the same rows, and stand for the same sum.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_NAME = re.compile(r"(?P<digest>[0-9a-f]{64})(\.(?P<stands_for>[0-9a-f]{64}))?\.parquet")
_MODULUS = 2**256


def digest_in(path: str) -> str | None:
    """The SHA-256 of the file's content, as its name has it, hexadecimal; None for a file that is named otherwise."""
    found = _NAME.fullmatch(path.rpartition("/")[2])
    return found["digest"] if found else None


def total(paths: Iterable[str]) -> int:
    """What the files stand for together, in whatever order they come.

    >>> total(["a", "b"]) == total(["b", "a"]) != total(["a"])
    True
    """
    return sum(_number(path) for path in paths) % _MODULUS


def standing_for(path: str, number: int) -> str:
    """The name of the same content, standing for the number. path: named by its digest.

    >>> name = standing_for(f"month=2013-01/{'a' * 64}.parquet", total(["old", "older"]))
    >>> total([name]) == total(["old", "older"])
    True
    """
    digest = digest_in(path)
    if digest is None:
        raise AssertionError(f"{path} is not named by its digest")
    folder = path[: path.rfind("/") + 1]
    return f"{folder}{digest}.{number % _MODULUS:064x}.parquet"


def _number(path: str) -> int:
    found = _NAME.fullmatch(path.rpartition("/")[2])
    if found and found["stands_for"]:
        return int(found["stands_for"], 16)
    return int.from_bytes(hashlib.sha256(path.encode()).digest())
