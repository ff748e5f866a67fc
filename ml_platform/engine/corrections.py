"""Corrections: files of a source that came again with other bytes, and the versions of its table from before that.

What was made of the table since has read the correction as well; only what was made before it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from ml_platform.engine import delta
from ml_platform.engine.ingest import Source
from ml_platform.engine.manifest import APP_ID, Entry, Manifest
from ml_platform.engine.table_log import TableLog, read_log
from ml_platform.records.taint import Seeds
from ml_platform.roles.lakehouse import Lakehouse


def corrected(source: Source, lakehouse: Lakehouse) -> Iterator[tuple[str, str, Seeds]]:
    """What a correction makes wrong: a name for it, why, and the versions and partitions in which it stands."""
    location = lakehouse.table(source.key)
    rows = delta.snapshot(location)
    if rows is None:
        return
    log = read_log(location)
    manifest = Manifest.load(lakehouse.table(f"{source.key}__manifest"), source.partition, rows)
    for path, contents in sorted(_contents(manifest.entries).items()):
        for (digest, old), (later, new) in pairwise(contents):
            since, until = _version(old, log, log.first or 0), _version(new, log, log.latest + 1)
            parts = {entry.partition for entry in old if entry.partition}
            held = sorted(parts) if source.partition else None
            seeds = Seeds({}, {source.key: dict.fromkeys(range(since, until), held)})
            if since < until:
                yield f"file:{path} {digest}", f"{path} was corrected by {later}", seeds


def _contents(entries: Sequence[Entry]) -> Mapping[str, list[tuple[str, list[Entry]]]]:
    """Path → the contents that it was taken with, in the order of their batches."""
    found: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        if entry.sequence is not None and entry.rows:
            found.setdefault(entry.path, {}).setdefault(entry.digest, []).append(entry)
    ordered = {path: sorted(of.items(), key=lambda one: _first(one[1])) for path, of in found.items()}
    return {path: of for path, of in ordered.items() if len(of) > 1}


def _first(entries: Sequence[Entry]) -> int:
    return min(entry.sequence for entry in entries if entry.sequence is not None)


def _version(entries: Sequence[Entry], log: TableLog, unknown: int) -> int:
    """The version that a batch made."""
    sequence = _first(entries)
    made = (version for version, entry in log.entries.items() if entry.transactions.get(APP_ID) == sequence)
    return min(made, default=unknown)
