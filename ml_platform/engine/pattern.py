"""Patterns: which paths a landing brings and a source reads, as a shell matches them.

`*`, `?` and `[…]` match within one name; `**` is any number of folders, at the end every file below. A name that begins
with a dot is matched only where the pattern has that dot.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

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
    return _match(path.split("/"), pattern.split("/"))


def reach(pattern: str) -> tuple[str, bool]:
    """The folder that all paths which match lie in, and whether they may lie in folders below it.

    >>> reach("orders/2024/*.csv"), reach("orders/*/a.csv"), reach("*.csv")
    (('orders/2024', False), ('orders', True), ('', False))
    """
    folders = pattern.split("/")[:-1]
    plain = next((at for at, name in enumerate(folders) if name in _NO_NAMES or _WILD & {*name}), len(folders))
    return "/".join(folders[:plain]), plain < len(folders) or pattern.split("/")[-1] == _ANY_DEPTH


def _match(names: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted or not names:
        return not wanted and not names
    if wanted[0] != _ANY_DEPTH:
        return _fits(names[0], wanted[0]) and _match(names[1:], wanted[1:])
    below = _fits(names[0], "*") and (len(names) == 1 or _match(names[1:], wanted))
    return below if len(wanted) == 1 else _match(names, wanted[1:]) or (len(names) > 1 and below)


def _fits(name: str, pattern: str) -> bool:
    return (pattern.startswith(".") or not name.startswith(".")) and fnmatch.fnmatchcase(name, pattern)
