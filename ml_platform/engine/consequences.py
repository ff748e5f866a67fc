"""The consequences of damage: which table versions hold it or were made of it, what learned from them, what serves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ml_platform.engine.integrity import versions_of
from ml_platform.engine.table_log import Entry, TableLog
from ml_platform.records.endpoint import Revision
from ml_platform.records.upkeep import Pin

Holders = Mapping[str, Collection[int]]


@dataclass(frozen=True)
class Consequences:
    """What is touched.

    versions: table → versions that hold a damaged file, or rows that were made of one or predicted by a model that
    learned from one, as far as logs go back.
    models: versions that learned from one of these. endpoints: those that serve such a model.
    """

    versions: Mapping[str, tuple[int, ...]]
    models: tuple[Pin, ...]
    endpoints: tuple[str, ...]


def consequences(
    damaged: Mapping[str, Collection[str]],
    unreadable: Mapping[str, Collection[int]],
    logs: Mapping[str, TableLog],
    pins: Sequence[Pin],
    serving: Sequence[Revision],
) -> Consequences:
    """What the damage touches.

    damaged: table → paths of its files that are damaged. unreadable: table → versions that cannot be opened.
    logs: of every table that may hold it. serving: what endpoints really serve.
    """
    files = {key: set(damaged.get(key, ())) for key in logs}
    holders = {key: versions_of(log) for key, log in logs.items()}
    while True:
        versions = {key: _holding(holders[key], paths) | set(unreadable.get(key, ())) for key, paths in files.items()}
        models = tuple(pin for pin in pins if pin.version in versions.get(pin.key, ()))
        digests = {pin.digest for pin in models}
        grown = {key: paths | _made_of(logs[key], versions, paths, digests) for key, paths in files.items()}
        if grown == files:
            break
        files = grown
    endpoints = sorted({one.endpoint for one in serving if digests & set(one.digests.values())})
    return Consequences(
        {key: tuple(sorted(found)) for key, found in versions.items() if found}, models, tuple(endpoints)
    )


def _holding(holders: Holders, paths: Collection[str]) -> set[int]:
    return {version for path in paths for version in holders.get(path, ())}


def _made_of(
    log: TableLog, versions: Mapping[str, Collection[int]], paths: Collection[str], digests: Collection[str]
) -> set[str]:
    """The files that a commit added which read a touched version, asked a touched model, or rewrote a touched file."""
    made = (entry for entry in log.entries.values() if _is_made_of(entry, versions, paths, digests))
    return {path for entry in made for path in entry.adds}


def _is_made_of(
    entry: Entry, versions: Mapping[str, Collection[int]], paths: Collection[str], digests: Collection[str]
) -> bool:
    # Predictions say by their code which package made them.
    if not set(str(entry.evidence.get("code", "")).split()).isdisjoint(digests):
        return True
    read = entry.evidence.get("read")
    if isinstance(read, dict) and any(version in versions.get(key, ()) for key, version in read.items()):
        return True
    return "maintenance" in entry.evidence and not entry.removes.isdisjoint(paths)
