"""Patterns: which paths a landing brings and a source reads, as a shell matches them.

`*`, `?` and `[…]` match within one name; `**` is any number of folders, at the end every file below. A name that begins
with a dot is matched only where the pattern has that dot.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence, Set

_ANY_DEPTH = "**"
_WILD = {*"*?["}
_NO_NAMES = ("", ".", "..")


def matches(path: str, pattern: str) -> bool:
    """Whether a path matches.

    >>> matches("orders/a.csv", "orders/*.csv"), matches("orders/old/a.csv", "orders/*.csv")
    (True, False)
    >>> matches("orders/old/a.csv", "orders/**/*.csv"), matches("orders/.a.csv", "orders/*.csv")
    (True, False)
    """
    wanted = pattern.split("/")
    if wanted[-1] == _ANY_DEPTH:
        wanted.append("*")
    # Which of the wanted names may be the next one's; so many steps as names, however often folders are passed over.
    at = _with_passed(wanted, {0})
    for name in path.split("/"):
        fitting = {it for it in at if it < len(wanted) and _fits(name, wanted[it])}
        at = _with_passed(wanted, {it + (wanted[it] != _ANY_DEPTH) for it in fitting})
    return len(wanted) in at


def reach(pattern: str) -> tuple[str, bool]:
    """The folder that all paths which match lie in, and whether they may lie in folders below it.

    >>> reach("orders/2024/*.csv"), reach("orders/*/a.csv"), reach("*.csv")
    (('orders/2024', False), ('orders', True), ('', False))
    """
    folders = pattern.split("/")[:-1]
    plain = next((at for at, name in enumerate(folders) if name in _NO_NAMES or _WILD & {*name}), len(folders))
    return "/".join(folders[:plain]), plain < len(folders) or pattern.split("/")[-1] == _ANY_DEPTH


def _with_passed(wanted: Sequence[str], at: Set[int]) -> set[int]:
    """The places, and those behind `**`, which may be no folder at all."""
    found = set(at)
    for it, name in enumerate(wanted):
        if it in found and name == _ANY_DEPTH:
            found.add(it + 1)
    return found


def _fits(name: str, pattern: str) -> bool:
    return (pattern.startswith(".") or not name.startswith(".")) and fnmatch.fnmatchcase(name, pattern)
