"""Touched files: which files of a table hold a key that incoming rows have, and which of the two rows is newer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_platform.engine import merge_plan
from ml_platform.engine.aside import Aside
from ml_platform.engine.key_ranges import Cluster, clusters, leading, overlapping, place
from ml_platform.engine.plan import INCOMING, STANDING, Shape
from ml_platform.records.table import DataFile, StagedFiles, TableSnapshot, View
from ml_platform.roles.compute import Compute

_PROBES = 64

Ranges = Mapping[str, tuple[Any, Any]]
"""Partition → the lowest and the highest leading key of its rows."""


@dataclass(frozen=True)
class Merge:
    """Incoming rows on their way into a table.

    standing: the partitions that they can be in, as they stand; without files where the table is new.
    deleted: the delete markers of the table; None where it has none.
    exact: whether the incoming rows are only what came to inputs since they were last read; of two rows of one key and
    moment neither then replaces the other, as it would not had they come together.
    """

    standing: StagedFiles
    deleted: StagedFiles | None
    shape: Shape
    exact: bool
    compute: Compute
    aside: Aside


def candidates(merge: Merge, incoming: StagedFiles | View, ranges: Ranges | None = None) -> tuple[Cluster, ...]:
    """The standing files that can hold an incoming key, by what the log says of them.

    ranges: of the incoming keys, where they are known.
    """
    if not merge.standing.files or not incoming.rows or not isinstance(merge.standing, TableSnapshot):
        return ()
    if ranges is None:
        counted = merge_plan.counted(merge.shape, leading(merge.shape))
        ranges = ranges_of(merge.compute.fetch(counted, {INCOMING: incoming}).to_pylist())
    return overlapping(clusters(merge.standing, merge.shape), ranges)


def ranges_of(counted: Sequence[Mapping[str, Any]]) -> Ranges:
    """The ranges of incoming keys, from the rows of `merge_plan.counted`."""
    return {row["p"]: (row["low"], row["high"]) for row in counted}


def collisions(merge: Merge, incoming: StagedFiles | View, found: Sequence[Cluster]) -> list[dict[str, Any]]:
    """Where incoming keys stand, by partition and place; nothing where no file can hold one."""
    if not found or not incoming.rows:
        return []
    query = merge_plan.collisions(merge.shape, place(merge.shape, found, "s"))
    relations = {INCOMING: incoming, STANDING: part(merge.standing, files_of(found), incoming)}
    hits: list[dict[str, Any]] = merge.compute.fetch(query, relations).to_pylist()
    return hits


def hit_clusters(found: Sequence[Cluster], hits: Sequence[Mapping[str, Any]]) -> tuple[Cluster, ...]:
    """The clusters in which rows were found that have an incoming key."""
    wanted = {(hit["partition"], hit["place"]) for hit in hits if hit["matched"]}
    return tuple(cluster for at, cluster in _placed(found) if at in wanted)


def superseded(found: Sequence[Cluster], hits: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The paths of files of which no row stays: each of their rows has an incoming key, and is not newer."""
    replaced = {(hit["partition"], hit["place"]): hit["matched"] - hit["newer"] for hit in hits}
    whole = [c for at, c in _placed(found) if replaced.get(at) == sum(file.rows for file in c.files)]
    return frozenset(file.path for file in files_of(whole))


def _placed(found: Sequence[Cluster]) -> Iterator[tuple[tuple[str, int], Cluster]]:
    """The clusters, beside the partition and place under which collisions are told."""
    partitions: dict[str, int] = {}
    for cluster in found:
        number = partitions.get(cluster.partition, 0)
        partitions[cluster.partition] = number + 1
        yield (cluster.partition, number), cluster


def holding(merge: Merge, incoming: StagedFiles | View, hit: Sequence[Cluster]) -> tuple[Cluster, ...]:
    """The clusters with only the files that hold an incoming key: ranges alone cannot tell overlapping files apart."""
    unsure = files_of([cluster for cluster in hit if len(cluster.files) > 1])
    if not unsure:
        return tuple(hit)
    step = -(-len(unsure) // _PROBES)
    probes = {f"probe.p{n}": unsure[at : at + step] for n, at in enumerate(range(0, len(unsure), step))}
    relations = {name: part(merge.standing, files, incoming) for name, files in probes.items()}
    rows = merge.compute.fetch(merge_plan.holding(merge.shape, list(probes)), {INCOMING: incoming, **relations})
    names = list(probes)
    held = {file.path for number in rows["number"].to_pylist() for file in probes[names[number]]}
    kept = (replace(c, files=tuple(file for file in c.files if len(c.files) == 1 or file.path in held)) for c in hit)
    return tuple(cluster for cluster in kept if cluster.files)


def moved(merge: Merge, incoming: StagedFiles | View) -> tuple[Cluster, ...]:
    """Everything that stands, where columns changed their type or went: then every row has to be written again."""
    stands = {field.name: field.type for field in merge.standing.schema}
    comes = {field.name: field.type for field in incoming.schema}
    if isinstance(merge.standing, TableSnapshot) and any(comes.get(name) != kind for name, kind in stands.items()):
        return clusters(merge.standing, merge.shape)
    return ()


def files_of(of: Sequence[Cluster]) -> tuple[DataFile, ...]:
    """The files of the clusters, in their order."""
    return tuple(file for cluster in of for file in cluster.files)


def part(standing: StagedFiles, files: Sequence[DataFile], like: StagedFiles | View) -> StagedFiles:
    """Some of the standing files, with the columns that the incoming rows have."""
    return StagedFiles(standing.location, like.schema, standing.partition_by, tuple(files))
