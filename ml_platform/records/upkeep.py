"""Upkeep as it travels: what a table asks for, which versions models hold on to, and what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Upkeep:
    """What keeps one table in shape.

    retention_days: how long a version stays readable after another took its place.
    cluster_by: the columns by which rows are sorted when files are rewritten; none keeps their order.
    """

    key: str
    retention_days: float
    cluster_by: Sequence[str] = ()


@dataclass(frozen=True)
class Pin:
    """One registered model version and a table version that it learned from, or that this was made from.

    digest: of the model's package, by which an endpoint says what it serves.
    """

    model: str
    number: int
    digest: str
    key: str
    version: int


@dataclass(frozen=True)
class Swept:
    """What a vacuum took: files and their bytes, log entries, and why some versions stayed.

    pinned: versions beyond the retention that stay because a model pins them → the models, `name version n`.
    first: the oldest version that can be opened afterwards by right; older ones may still be.
    unread: versions beyond the retention from which on commits and files stay, for tables that have yet to read them.
    """

    files: int
    size_bytes: int
    log_entries: int
    pinned: Mapping[int, Sequence[str]]
    first: int
    unread: Mapping[int, Sequence[str]]


@dataclass(frozen=True)
class Maintained:
    """What became of a table's maintenance.

    files_before, files_after, bytes_before, bytes_after: of the latest version.
    partitions: those whose files were rewritten; gave_way: those that a writer changed meanwhile, left for next time.
    version: the latest, afterwards. checkpoint: whether one was written.
    """

    key: str
    version: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    partitions: Sequence[str]
    gave_way: Sequence[str]
    checkpoint: bool
    swept: Swept
    seconds: float
