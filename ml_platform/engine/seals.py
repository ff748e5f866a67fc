"""Seals: a digest of what a commit does, which it carries, so that an entry of a log that was altered is found out.

The first seals covered the names of the files and the numbers that are kept. Those since begin with `2:` and cover also
what is said of each file that comes, and the columns. A commit is held against the kind of seal that it carries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SEAL = "sealed"
_SECOND = "2:"

# Of a file: its size, its partition, and its statistics as the log has them.
Told = tuple[int, tuple[tuple[str, str], ...], str]


@dataclass(frozen=True)
class Doing:
    """What a commit does.

    adds: path of a data file, as it is on the store → what is said of it. removes: paths. transactions: name → number.
    columns: the table's, where the commit says them anew; else empty.
    """

    adds: Mapping[str, Told] = field(default_factory=dict)
    removes: Collection[str] = ()
    transactions: Mapping[str, int] = field(default_factory=dict)
    columns: str = ""


def told(size_bytes: int, partition: Mapping[str, Any], statistics: str | None) -> Told:
    """What is said of a file, in one form."""
    values = sorted((column, "" if value is None else str(value)) for column, value in partition.items())
    return int(size_bytes), tuple(values), statistics or ""


def columns(schema: str, partition_by: Iterable[str], configuration: Mapping[str, Any]) -> str:
    """A table's columns and what decides how its rows are read, in one form. schema: as Delta has it, JSON."""
    return json.dumps([json.loads(schema)["fields"], list(partition_by), dict(configuration)], sort_keys=True)


def seal(doing: Doing) -> str:
    """The seal that a commit is made with."""
    said = [sorted(doing.adds.items()), sorted(set(doing.removes)), sorted(doing.transactions.items()), doing.columns]
    return f"{_SECOND}{_digest(said)}"


def matches(given: Any, doing: Doing) -> bool:
    """Whether a commit with this seal does what it was made to do."""
    return bool(given == (seal(doing) if str(given).startswith(_SECOND) else _first(doing)))


def _first(doing: Doing) -> str:
    return _digest([sorted(doing.adds), sorted(set(doing.removes)), sorted(doing.transactions.items())])


def _digest(said: Any) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
