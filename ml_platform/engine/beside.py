"""Tables beside: those that a table keeps for itself, and the name under which it says which version of one is its own.

A table's commit names the version of its quarantine, and of its delete markers, that went before it. So a restore knows
what to go back to, whatever clocks say and however much of the log is left.
"""

from __future__ import annotations

from collections.abc import Mapping

from ml_platform.engine import delta
from ml_platform.engine.table_log import read_log
from ml_platform.records.table import Location
from ml_platform.records.upkeep import Pin

NAME = "beside:"


def named(suffix: str) -> str:
    """The name under which a table keeps the version of the one beside it.

    >>> named("__quarantine")
    'beside:__quarantine'
    """
    return f"{NAME}{suffix}"


def numbers(versions: Mapping[str, int]) -> dict[str, int]:
    """What a commit has to keep, of the tables beside its own. versions: suffix → version."""
    return {named(suffix): version for suffix, version in versions.items()}


def held(of: Location, first: int, key: str, suffix: str) -> list[Pin]:
    """The versions of a table beside another that the other's versions from the first on name as their own.

    key: of the table beside. A restore of the other goes back to them.
    """
    name = named(suffix)
    entries = read_log(of).entries.items()
    found = {first: delta.transaction(of, name, first)}
    found |= {version: entry.transactions.get(name) for version, entry in entries if version > first}
    last = {number: version for version, number in sorted(found.items()) if number is not None}
    return [Pin(of.key, version, "", key, number) for number, version in last.items()]
