"""The consequences of what is wrong: which table versions hold it or were made of it, what learned from it and serves.

It is one walk, from files and versions to all that was made of them, for whoever asks: the audit, a taint, a trace.
It goes by what commits say that they read, and by the partitions that they wrote: what it finds is all that can hold
something, and may be more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from ml_platform.engine.integrity import versions_of
from ml_platform.engine.table_log import Entry, TableLog
from ml_platform.records.endpoint import Revision
from ml_platform.records.upkeep import Pin

# A reader, what it reads, partitions of that → the reader's partitions that are made from them; None: it may be any.
Makes = Callable[[str, str, Collection[str]], Collection[str] | None]
# A table and a version of it.
Node = tuple[str, int]
# Versions that are touched whatever files they hold, each as a whole or, where partitions are named, in these.
Touched = Collection[int] | Mapping[int, Collection[str] | None]


@dataclass(frozen=True)
class Consequences:
    """What is touched.

    versions: table → versions that hold a damaged file, or rows that were made of one or predicted by a model that
    learned from one, as far as logs go back. files: table → the files in them that do.
    models: versions that learned from one of these. endpoints: those that serve such a model.
    origins: table and file → the version that it was made of; without those that it began with.
    holders: table → file → the versions that hold it.
    """

    versions: Mapping[str, tuple[int, ...]]
    models: tuple[Pin, ...]
    endpoints: tuple[str, ...]
    files: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)
    origins: Mapping[tuple[str, str], Node] = field(default_factory=dict, compare=False)
    holders: Mapping[str, Mapping[str, Collection[int]]] = field(default_factory=dict, compare=False, repr=False)

    def way(self, key: str, version: int) -> tuple[Node, ...]:
        """One way from a touched version back to what it began with, itself first."""
        found = [(key, version)]
        while (origin := self._origin(*found[-1])) is not None and origin not in found:
            found.append(origin)
        return tuple(found)

    def _origin(self, key: str, version: int) -> Node | None:
        for path in sorted(self.files.get(key, ())):
            if version in self.holders[key].get(path, ()) and (key, path) in self.origins:
                return self.origins[key, path]
        return None


def _any(*_: object) -> None:
    return None


def consequences(
    damaged: Mapping[str, Collection[str]],
    unreadable: Mapping[str, Touched],
    logs: Mapping[str, TableLog],
    pins: Sequence[Pin],
    serving: Sequence[Revision],
    makes: Makes = _any,
) -> Consequences:
    """What the damage touches.

    damaged: table → paths of its files that are damaged. unreadable: table → versions that are, whatever they hold.
    logs: of every table that may hold it. serving: what endpoints really serve.
    makes: which partitions of a reader are made from which of what it reads.
    """
    files = {key: set(damaged.get(key, ())) for key in logs}
    holders = {key: versions_of(log) for key, log in logs.items()}
    origins: dict[tuple[str, str], Node] = {}
    while True:
        held = {key: _held(holders[key], paths, unreadable.get(key, ())) for key, paths in files.items()}
        models = tuple(pin for pin in pins if pin.version in held.get(pin.key, ()))
        asked = {pin.digest: (pin.key, pin.version) for pin in models}
        grown = False
        for key, log in logs.items():
            for path, origin in _made_of(log, held, files[key], asked, makes):
                if path not in files[key]:
                    files[key].add(path)
                    grown = True
                    if origin is not None:
                        origins[key, path] = origin
        if not grown:
            break
    endpoints = sorted({one.endpoint for one in serving if not asked.keys().isdisjoint(one.digests.values())})
    versions = {key: tuple(sorted(found)) for key, found in held.items() if found}
    kept = {key: frozenset(paths) for key, paths in files.items() if paths}
    return Consequences(versions, models, tuple(endpoints), kept, origins, holders)


def partition_of(path: str) -> str | None:
    """The partition that a data file is in, by its path; None for a file of a table that is not divided.

    >>> partition_of("month=2024-01/ab.parquet"), partition_of("ab.parquet")
    ('2024-01', None)
    """
    folder, slash, _ = path.partition("/")
    return unquote(folder.partition("=")[2]) if slash else None


def _held(
    holders: Mapping[str, Collection[int]], paths: Collection[str], besides: Touched
) -> dict[int, Collection[str] | None]:
    """Version → its partitions that are touched; None where it is the whole of it."""
    found: dict[int, set[str] | None] = {}
    for path in paths:
        partition = partition_of(path)
        for version in holders.get(path, ()):
            stood = found.setdefault(version, set())
            if partition is None:
                found[version] = None
            elif stood is not None:
                stood.add(partition)
    return {**found, **(besides if isinstance(besides, Mapping) else dict.fromkeys(besides))}


def _made_of(
    log: TableLog,
    held: Mapping[str, Mapping[int, Collection[str] | None]],
    paths: Collection[str],
    asked: Mapping[str, Node],
    makes: Makes,
) -> Iterator[tuple[str, Node | None]]:
    """The files that a commit added which read a touched version, asked a touched model, or rewrote a touched file,
    each with the version that it was made of."""
    for entry in log.entries.values():
        # Predictions say by their code which package made them.
        model = next((word for word in str(entry.evidence.get("code", "")).split() if word in asked), None)
        if model is not None:
            yield from ((path, asked[model]) for path in sorted(entry.adds))
        for key, version in _read(entry).items():
            if version in held.get(key, ()):
                those = held[key][version]
                reached = None if those is None else makes(log.location.key, key, those)
                yield from ((path, (key, version)) for path in _within(entry.adds, reached))
        if "maintenance" in entry.evidence and not entry.removes.isdisjoint(paths):
            moved = {partition_of(path) for path in entry.removes & set(paths)}
            yield from ((path, None) for path in sorted(entry.adds) if partition_of(path) in moved)


def _read(entry: Entry) -> Mapping[str, int]:
    read = entry.evidence.get("read")
    return read if isinstance(read, dict) else {}


def _within(paths: Collection[str], partitions: Collection[str] | None) -> list[str]:
    return sorted(
        path for path in paths if partitions is None or (at := partition_of(path)) is None or at in partitions
    )
